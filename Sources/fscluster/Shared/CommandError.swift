/// Why a command did not do what it says. Each names what to do next, because that is what its reader needs.
struct CommandError: Error, Equatable {
  /// The exit code of the process: 0 is left for success.
  enum Outcome: Int32 {
    /// It was tried and failed.
    case failed = 1
    /// Wrong usage or environment; nothing was changed.
    case usage = 2
    /// `status` found the cluster degraded.
    case degraded = 3
  }

  var outcome: Outcome
  /// One sentence, without a capital and without a full stop. Empty: everything was said already.
  var message: String
  /// What to do next.
  var next: String?

  static func failed(_ message: String, next: String? = nil) -> CommandError {
    CommandError(outcome: .failed, message: message, next: next)
  }

  static func usage(_ message: String, next: String? = nil) -> CommandError {
    CommandError(outcome: .usage, message: message, next: next)
  }

  /// The command has printed its findings; only the exit code is left to be told.
  static func silent(_ outcome: Outcome) -> CommandError {
    CommandError(outcome: outcome, message: "", next: nil)
  }

  /// The lines for standard error.
  var text: String {
    guard !message.isEmpty else { return "" }
    guard let next else { return "fscluster: \(message)\n" }
    return "fscluster: \(message)\n           \(next)\n"
  }
}
