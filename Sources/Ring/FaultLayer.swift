/// The kinds of operations, for whoever stands in their way.
package enum RingOperation: Sendable, Equatable {
  case accept, connect, receive, send, shutdown, close, read, write, synchronize, allocate, poll, timeout, cancel,
    advise
}

/// The seam for injected faults: asked before each operation. An answer other than nil (a count, or `-errno`) becomes the
/// operation's completion, and the kernel never sees it.
package protocol FaultLayer: AnyObject {
  func decide(_ operation: RingOperation, descriptor: Int32, token: UInt64, count: Int) -> Int32?
}
