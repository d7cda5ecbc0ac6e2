// Nodes for tests, inside the process of the test: what `filestored` runs, with its real sockets, TLS, io_uring and files,
// and a thread for each node.

import Foundation
import Logging
import Ring
import Server

/// Raft has another one.
package typealias EffectiveSettings = Configuration

/// One node that runs. It ends by `stop`, as `filestored` does by SIGTERM.
package final class RunningNode: Sendable {
  private struct State {
    var thread: pthread_t?
    var isStarted = false
    var end: Result<Int32, StartRefusal>?
  }

  private let state = Locked(State())
  /// Like `filestored`, which takes nothing down before its process ends: the kernel may still use buffers of a server that
  /// has stopped, so none is ever freed.
  private static let stopped = Locked<[ServerKeeper]>([])

  /// Where its lines go.
  package let log: String

  /// Begins to start. `prepare` is called in the node's thread, before the node does anything.
  package init(
    _ configuration: Configuration, log: String, limits: EdgeLimits = EdgeLimits(),
    prepare: @escaping @Sendable (Server) -> Void = { _ in }
  ) throws {
    self.log = log
    let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SystemError("open", log) }
    let thread = Thread { [self] in
      ignoreLeaks()
      state.withLock { $0.thread = pthread_self() }
      let end = run(configuration, descriptor, limits, prepare)
      close(descriptor)
      state.withLock { $0.end = end }
    }
    thread.stackSize = 16 << 20
    thread.start()
  }

  private func run(
    _ configuration: Configuration, _ descriptor: Int32, _ limits: EdgeLimits, _ prepare: (Server) -> Void
  ) -> Result<Int32, StartRefusal> {
    let logger = Logger(label: "node") { _ in LineLog(descriptor: descriptor, level: .info) }
    do throws(StartRefusal) {
      let server = try Boot.start(configuration, log: logger, limits: limits)
      let keeper = ServerKeeper(server: server)
      RunningNode.stopped.withLock { $0.append(keeper) }
      prepare(server)
      state.withLock { $0.isStarted = true }
      return .success(try server.run())
    } catch { return .failure(error) }
  }

  /// The exit code, or why it did not start; nil while it runs.
  package var end: Result<Int32, StartRefusal>? { state.withLock { $0.end } }

  /// As the process gets it: the first one drains, a second one stops at once. Nothing when the node has ended.
  package func signal(_ number: Int32 = SIGTERM) {
    waitUntil { state.withLock { $0.isStarted || $0.end != nil } }
    state.withLock { state in
      guard let thread = state.thread, state.end == nil else { return }
      pthread_kill(thread, number)
    }
  }

  /// Stops it and waits until it has ended.
  @discardableResult
  package func stop(seconds: Double = 40) -> Result<Int32, StartRefusal>? {
    signal()
    return waitForEnd(seconds: seconds)
  }

  package func waitForEnd(seconds: Double = 40) -> Result<Int32, StartRefusal>? {
    waitUntil(seconds: seconds) { end != nil }
    return end
  }

  /// All lines written so far.
  package var lines: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
}

/// Of this thread, under the leak sanitizer. What a stopped server still holds, it holds for ever; and pointers that Swift
/// marks by bits in cases of an enum, such as a link's connection, are none to the sanitizer, so that it would find leaks.
private func ignoreLeaks() {
  guard let disable = dlsym(nil, "__lsan_disable") else { return }
  unsafeBitCast(disable, to: (@convention(c) () -> Void).self)()
}

/// Only holds it: a server is used by its own thread.
private struct ServerKeeper: @unchecked Sendable { let server: Server }

/// Waits until `condition` holds, looking every 5 ms. False: it did not within the time.
@discardableResult
package func waitUntil(seconds: Double = 30, _ condition: () throws -> Bool) rethrows -> Bool {
  let end = Date().addingTimeInterval(seconds)
  while try !condition() {
    guard Date() < end else { return false }
    usleep(5000)
  }
  return true
}
