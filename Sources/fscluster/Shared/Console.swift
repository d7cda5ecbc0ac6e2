import Foundation
import Synchronization

/// The two output streams. Results go to standard output, everything else to standard error.
enum Console {
  /// Keeps what is written instead, for whoever runs a command inside a process of his own.
  final class Capture: Sendable {
    private let written = Mutex<[Int32: [UInt8]]>([:])

    fileprivate func add(_ bytes: [UInt8], _ descriptor: Int32) {
      written.withLock { $0[descriptor, default: []] += bytes }
    }

    func text(_ descriptor: Int32) -> String {
      String(decoding: written.withLock { $0[descriptor] ?? [] }, as: UTF8.self)
    }
  }

  @TaskLocal static var capture: Capture?

  static func out(_ line: String) { write(Array((line + "\n").utf8), to: 1) }
  static func note(_ line: String) { write(Array((line + "\n").utf8), to: 2) }

  /// All bytes, however often the kernel takes only some. A closed pipe ends the process by SIGPIPE, as it should.
  static func write(_ bytes: [UInt8], to descriptor: Int32) {
    if let capture { return capture.add(bytes, descriptor) }
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      done += count
    }
  }

  static var errorIsTerminal: Bool { isatty(2) == 1 }
  static var outputIsTerminal: Bool { isatty(1) == 1 }

  /// Columns of the terminal behind standard error; 80 when it does not tell.
  static var width: Int {
    var size = winsize()
    guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20 else { return 80 }
    return Int(size.ws_col)
  }

  /// A value as JSON, keys sorted and in snake case, on one line.
  static func json(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    guard let bytes = try? encoder.encode(value) else { return "{}" }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Numbers and times as people read them.
enum Humane {
  /// `1234567` as `1 234 567`.
  static func count(_ number: Int) -> String {
    let digits = String(number.magnitude)
    var text = ""
    for (position, digit) in digits.enumerated() {
      if position > 0, (digits.count - position) % 3 == 0 { text.append(" ") }
      text.append(digit)
    }
    return number < 0 ? "-" + text : text
  }

  /// `1 line`, `2 345 lines`.
  static func count(_ number: Int, _ noun: String) -> String { "\(count(number)) \(noun)\(number == 1 ? "" : "s")" }

  static func bytes(_ number: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(number)
    var unit = 0
    while value >= 1024, unit + 1 < units.count {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(number) B" : String(format: "%.1f %@", value, units[unit])
  }

  /// `75` as `1 min 15 s`.
  static func seconds(_ seconds: Double) -> String {
    if seconds < 60 { return String(format: seconds < 10 ? "%.1f s" : "%.0f s", seconds) }
    let whole = Int(seconds.rounded())
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }

  /// Columns padded to their widest cell, two spaces between; `right` names the columns of numbers.
  static func table(_ rows: [[String]], right: Set<Int> = []) -> [String] {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        line += right.contains(column) ? padding + cell : cell + padding
        if column + 1 < row.count { line += "  " }
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }
}
