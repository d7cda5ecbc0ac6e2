import Ring

/// A socket's operations in flight, and its orderly end: cancel them, let every one complete, close.
///
/// At most one receive and one send are in flight. The receive buffer belongs to the kernel while `isReceiving`. What is
/// to be sent is first offered by `sendNow`: most sockets take it, and no completion has to be awaited.
final class SocketPump {
  let descriptor: Int32
  private let ring: Ring
  private let receiveToken: UInt64
  private let sendToken: UInt64
  private(set) var isReceiving = false
  private(set) var isSending = false
  var isConnecting = false
  private(set) var isClosing = false
  private var buffer: UnsafeMutableRawBufferPointer
  private let bufferBytesMin: Int
  private let bufferBytesMax: Int
  /// The last receive filled the buffer: the next one gets a larger one. After a small one it gets a small one again.
  private var wasFull = false
  private var wasSmall = false

  init(_ descriptor: Int32, ring: Ring, receive: Token, send: Token, bufferBytes: Int, bufferBytesMax: Int) {
    self.descriptor = descriptor
    self.ring = ring
    receiveToken = receive.rawValue
    sendToken = send.rawValue
    buffer = .allocate(byteCount: bufferBytes, alignment: 16)
    bufferBytesMin = bufferBytes
    self.bufferBytesMax = bufferBytesMax
  }

  deinit {
    precondition(isQuiet, "the kernel uses nothing of a socket that is forgotten")
    buffer.deallocate()
  }

  /// No operation is in flight.
  var isQuiet: Bool { !isReceiving && !isSending && !isConnecting }

  func receive() {
    guard !isReceiving, !isClosing else { return }
    if wasFull, buffer.count < bufferBytesMax { replaceBuffer(min(buffer.count * 4, bufferBytesMax)) }
    if wasSmall, buffer.count > bufferBytesMin { replaceBuffer(bufferBytesMin) }
    isReceiving = true
    ring.receive(descriptor, into: buffer, expectingNothing: !wasFull, token: receiveToken)
  }

  private func replaceBuffer(_ count: Int) {
    buffer.deallocate()
    buffer = .allocate(byteCount: count, alignment: 16)
  }

  /// Of memory.
  var heldBytes: Int { buffer.count }

  /// The bytes that came; valid until the next `receive`. Empty: the end, or an error.
  func received(_ result: Int32) -> UnsafeRawBufferPointer {
    isReceiving = false
    guard result > 0, !isClosing else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    wasFull = Int(result) == buffer.count
    wasSmall = Int(result) < bufferBytesMin / 2
    return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<Int(result)])
  }

  /// How many bytes the socket took at once.
  func sendNow(_ bytes: UnsafeRawBufferPointer) -> Int {
    precondition(!isSending, "bytes leave in order")
    return ring.sendNow(descriptor, bytes)
  }

  func send(_ bytes: UnsafeRawBufferPointer) {
    precondition(!isSending, "one send at a time")
    isSending = true
    ring.send(descriptor, bytes, token: sendToken)
  }

  func sent() { isSending = false }

  /// Ends what is in flight; it completes soon. True when nothing is, and the socket is closed.
  func close() -> Bool {
    if !isClosing {
      isClosing = true
      // No `ring.shutdown`: the kernel runs it on a worker that looks the descriptor up late. By then it may be closed
      // and belong to the next connection.
      if !isQuiet { ring.cancelAll(on: descriptor) }
    }
    guard isQuiet else { return false }
    ring.close(descriptor)
    return true
  }
}
