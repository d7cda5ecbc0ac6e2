import Foundation

/// A value behind a lock of the system. When threads wait for Swift's `Mutex`, the thread sanitizer does not see how it orders
/// them, and reports races that are none.
package final class Locked<Value>: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Value

  package init(_ value: Value) { self.value = value }

  package func withLock<R>(_ body: (inout Value) throws -> R) rethrows -> R {
    lock.lock()
    defer { lock.unlock() }
    return try body(&value)
  }
}
