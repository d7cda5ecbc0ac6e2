import ArgumentParser
import Foundation
import Ring

/// Why there are no figures.
enum BenchError: Error, CustomStringConvertible {
  /// A reference is not installed.
  case missing(String, package: String)
  /// The options cannot be followed.
  case usage(String)
  /// Something did not do what it was asked to do.
  case failed(String)

  init(_ error: SystemError) { self = .failed(error.description) }
  init(_ refusal: RingRefusal) { self = .failed("\(refusal)\n\(refusal.remedy)") }

  var description: String {
    switch self {
    case .missing(let name, let package): "\(name) is missing; install it with: apt-get install \(package)"
    case .usage(let text), .failed(let text): text
    }
  }

  var exitCode: Int32 {
    switch self {
    case .missing, .usage: 2
    case .failed: 1
    }
  }
}

/// Standard error, for all that is not a figure.
func note(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }

/// Runs a command's body; its error becomes a line and an exit code.
func reportingErrors(_ body: () throws(BenchError) -> Void) throws {
  do throws(BenchError) { try body() } catch {
    note("fsbench: \(error)")
    throw ExitCode(error.exitCode)
  }
}

extension BenchError {
  /// Calls of the edge, with their errors as ours.
  static func system<R: ~Copyable>(_ body: () throws(SystemError) -> R) throws(BenchError) -> R {
    do throws(SystemError) { return try body() } catch { throw BenchError(error) }
  }

  static func ring(entries: Int) throws(BenchError) -> Ring {
    do throws(RingRefusal) { return try Ring(entries: entries) } catch { throw BenchError(error) }
  }
}
