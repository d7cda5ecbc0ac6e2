import Foundation
import Synchronization

/// Where figures go, a line at a time: to standard output.
enum Output {
  /// Keeps the lines instead, for whoever runs a command inside a process of his own.
  final class Capture: Sendable {
    private let written = Mutex<[String]>([])
    fileprivate func add(_ line: String) { written.withLock { $0.append(line) } }
    var lines: [String] { written.withLock { $0 } }
  }

  @TaskLocal static var capture: Capture?

  static func line(_ text: String) {
    if let capture { capture.add(text) } else { print(text) }
  }
}
