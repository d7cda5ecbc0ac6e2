import COpenSSL
import Primitives

/// OpenSSL's end of a connection: reads take from bytes of the caller's, writes append to an output buffer. Both are lent for one
/// call of OpenSSL.
final class MemoryBIO {
  struct State {
    var input: UnsafeRawPointer?
    var inputCount = 0
    var output: Unmanaged<OutputBuffer>?
  }

  /// Owned by the SSL object once given to it.
  let bio: OpaquePointer
  private let state: UnsafeMutablePointer<State>

  init() {
    state = .allocate(capacity: 1)
    state.initialize(to: State())
    guard let bio = BIO_new(memoryMethod) else { preconditionFailure("there is memory for a BIO") }
    self.bio = bio
    BIO_set_data(bio, state)
    BIO_set_init(bio, 1)
  }

  deinit { state.deallocate() }

  func attach(input: UnsafeRawBufferPointer, output: OutputBuffer) {
    state.pointee = State(
      input: input.baseAddress, inputCount: input.count, output: Unmanaged.passUnretained(output))
  }

  func detach() {
    precondition(state.pointee.inputCount == 0 || state.pointee.output != nil, "the input was lent")
    state.pointee = State()
  }
}

/// One for the process: made on first use, never freed.
nonisolated(unsafe) private let memoryMethod: OpaquePointer = makeMemoryMethod()

private func makeMemoryMethod() -> OpaquePointer {
  guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "filestore memory") else {
    preconditionFailure("there is memory for a BIO method")
  }
  BIO_meth_set_read_ex(method) { bio, target, size, count in
    guard let bio, let count, let raw = BIO_get_data(bio) else { return 0 }
    let state = raw.assumingMemoryBound(to: MemoryBIO.State.self)
    fs_bio_clear_retry(bio)
    let part = min(size, state.pointee.inputCount)
    guard part > 0, let input = state.pointee.input, let target else {
      fs_bio_retry_read(bio)
      count.pointee = 0
      return 0
    }
    UnsafeMutableRawPointer(target).copyMemory(from: input, byteCount: part)
    state.pointee.input = input + part
    state.pointee.inputCount -= part
    count.pointee = part
    return 1
  }
  BIO_meth_set_write_ex(method) { bio, source, size, count in
    guard let bio, let source, let count, let raw = BIO_get_data(bio) else { return 0 }
    let state = raw.assumingMemoryBound(to: MemoryBIO.State.self)
    fs_bio_clear_retry(bio)
    guard let output = state.pointee.output else { return 0 }
    output._withUnsafeGuaranteedRef { $0.append(source, size) }
    count.pointee = size
    return 1
  }
  BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
  return method
}
