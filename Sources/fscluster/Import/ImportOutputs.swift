import Foundation
import Tables

/// The files that an import writes beside its work: rejected lines, acknowledged keys, how far it came.
struct ImportOutputs {
  /// A file that grows by whole lines, written once a turn.
  private struct Lines {
    let path: String
    let descriptor: Int32
    var buffer: [UInt8] = []

    /// Appends to the file when `append`, replaces it otherwise.
    init(_ path: String, append: Bool) throws(CommandError) {
      self.path = path
      descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0o644)
      guard descriptor >= 0 else {
        throw .usage("\(path) cannot be written: \(String(cString: strerror(errno)))")
      }
    }

    /// False when the disk does not take it.
    mutating func flush() -> Bool {
      var done = 0
      while done < buffer.count {
        let count = buffer.withUnsafeBytes { bytes in
          bytes.baseAddress.map { Glibc.write(descriptor, $0 + done, bytes.count - done) } ?? 0
        }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        done += count
      }
      buffer.removeAll(keepingCapacity: true)
      return true
    }
  }

  private var rejects: Lines?
  private var acked: Lines?
  private let statePath: String?
  private var state: ImportState?
  private var recorded = Monotonic.now()
  /// The first file that could not be written.
  private(set) var failure: CommandError?

  /// `state` is what an interrupted import is continued by; nil for a pipe.
  init(
    rejects: String?, acked: String?, header: [UInt8]?, statePath: String?, state: ImportState?, append: Bool
  ) throws(CommandError) {
    self.statePath = statePath
    self.state = state
    if let rejects {
      var lines = try Lines(rejects, append: append)
      if let header, !append { lines.buffer.append(contentsOf: header + [0x0A]) }
      self.rejects = lines
    }
    if let acked { self.acked = try Lines(acked, append: append) }
  }

  /// The line as it came, so that the file can be corrected and imported itself.
  mutating func reject(_ source: [UInt8]) {
    rejects?.buffer.append(contentsOf: source + [0x0A])
  }

  /// `{"key":"bash","line":17,"etag":"123"}`
  mutating func acknowledge(key: [UInt8], line: Int, etag: String?) {
    guard acked != nil else { return }
    let version = etag.map {
      $0.hasPrefix("\"") && $0.hasSuffix("\"") && $0.count > 1 ? String($0.dropFirst().dropLast()) : $0
    }
    var text = Array("{\"key\":".utf8) + key + Array(",\"line\":\(line),\"etag\":".utf8)
    if let version { appendJSONString(version, to: &text) } else { text += Array("null".utf8) }
    acked?.buffer.append(contentsOf: text + Array("}\n".utf8))
  }

  mutating func flush() {
    if acked?.flush() == false { fail(acked?.path) }
    if rejects?.flush() == false { fail(rejects?.path) }
  }

  private mutating func fail(_ path: String?) {
    let reason = String(cString: strerror(errno))
    if failure == nil { failure = .failed("\(path ?? "a file") cannot be written: \(reason)") }
  }

  /// Records how far the import came, about once a second and at its end. A complete import without rejects leaves no state.
  mutating func record(_ place: PrefixTracker.Place, _ summary: ImportSummary, complete: Bool, force: Bool) {
    guard let statePath, var state, force || Monotonic.now() - recorded >= 1 else { return }
    recorded = Monotonic.now()
    if complete, summary.rejected == 0 {
      unlink(statePath)
      return
    }
    state.place = place
    state.acknowledged = summary.acknowledgedBefore + summary.acknowledged
    state.rejected = summary.rejected
    state.complete = complete
    do throws(CommandError) { try state.write(statePath) } catch { if failure == nil { failure = error } }
  }
}
