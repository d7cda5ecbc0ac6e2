import Glibc
import Logging

/// Writes one line for each event:
///
///     2026-01-31T12:00:00.123Z info  became leader shard=1 term=7
///
/// A value with spaces or quotes is quoted. A line is written by one call, so that lines of several processes to one file do
/// not mix. The file is opened in append mode; when it cannot be written to any more, lines are lost and nothing else.
package struct LineLog: LogHandler {
  package var logLevel: Logger.Level
  package var metadata = Logger.Metadata()
  package var metadataProvider: Logger.MetadataProvider?
  private let descriptor: Int32

  /// `descriptor` stays open as long as the process runs.
  package init(descriptor: Int32, level: Logger.Level) {
    self.descriptor = descriptor
    logLevel = level
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    var fields = metadata
    for (key, value) in event.metadata ?? [:] { fields[key] = value }
    var line = lineOf(event.level, event.message.description, fields, wallClock: now())
    line.append("\n")
    line.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
  }

  private func now() -> timespec {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return time
  }
}

/// The line without its end. Fields in the order of their names.
func lineOf(_ level: Logger.Level, _ message: String, _ fields: Logger.Metadata, wallClock: timespec) -> String {
  var line =
    "\(timeText(wallClock)) \(padded(level.rawValue)) \(message.map { $0.isNewline ? " " : String($0) }.joined())"
  for (key, value) in fields.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(quoted("\(value)"))" }
  return line
}

private func padded(_ text: String) -> String { text + String(repeating: " ", count: max(0, 7 - text.count)) }

private func quoted(_ text: String) -> String {
  let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x3D }
  if isPlain { return text }
  let escaped = text.unicodeScalars.map { scalar -> String in
    switch scalar {
    case "\"": return "\\\""
    case "\\": return "\\\\"
    case "\n": return "\\n"
    default: return scalar.value < 0x20 ? "\\x\(String(scalar.value, radix: 16))" : String(scalar)
    }
  }
  return "\"\(escaped.joined())\""
}

/// `2026-01-31T12:00:00.123Z`
func timeText(_ time: timespec) -> String {
  var seconds = time.tv_sec
  var parts = tm()
  gmtime_r(&seconds, &parts)
  func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
  let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
  return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T"
    + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)Z"
}

extension Configuration.LogLevel {
  package var level: Logger.Level {
    switch self {
    case .debug: .debug
    case .info: .info
    case .warning: .warning
    case .error: .error
    }
  }
}
