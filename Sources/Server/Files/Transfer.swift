import Glibc
import Node
import Ring

/// Bytes on their way between memory and a file: goes on where a short count stopped, until all are there or the device says
/// no. An interrupted call is repeated; nothing else is.
struct Transfer {
  enum Direction { case read, write }

  let direction: Direction
  let descriptor: Int32
  let offset: UInt64
  let bytes: UnsafeMutableRawBufferPointer
  private var done = 0

  init(reading bytes: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: UInt64) {
    direction = .read
    self.descriptor = descriptor
    self.offset = offset
    self.bytes = bytes
  }

  /// The bytes are not changed; the kernel's interface has one type for both.
  init(writing bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: UInt64) {
    direction = .write
    self.descriptor = descriptor
    self.offset = offset
    self.bytes = UnsafeMutableRawBufferPointer(mutating: bytes)
  }

  func submit(to ring: Ring, token: UInt64) {
    let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
    switch direction {
    case .read: ring.read(descriptor, into: rest, at: offset + UInt64(done), token: token)
    case .write: ring.write(descriptor, UnsafeRawBufferPointer(rest), at: offset + UInt64(done), token: token)
    }
  }

  enum Outcome: Equatable {
    case complete
    /// Submit again.
    case goesOn
    case failed(errno: Int32)
  }

  /// Takes in a completion's result.
  mutating func advance(_ result: Int32) -> Outcome {
    if result == -EINTR || result == -EAGAIN { return .goesOn }
    if result < 0 { return .failed(errno: -result) }
    // A write of nothing: the disk is full. A read of nothing: the file ends before it should.
    if result == 0 { return .failed(errno: direction == .write ? ENOSPC : EIO) }
    done += Int(result)
    return done < bytes.count ? .goesOn : .complete
  }
}

/// Memory for one read, alive as long as the operation.
final class IOBuffer {
  let memory: AlignedBuffer
  init(count: Int) { memory = AlignedBuffer(count: count) }
}

/// An open file that several may hold.
final class OpenFile {
  let file: File
  init(_ path: String, _ options: File.Options) throws(SystemError) { file = try File(path, options) }
  var descriptor: Int32 { file.descriptor }
}

/// Scrubbing reads under way, of one of the files.
struct ScrubReads {
  private struct Item {
    let read: ScrubRead
    let buffer: IOBuffer
    let file: OpenFile
    var transfer: Transfer
  }

  enum Outcome {
    case goesOn
    /// The buffer may be used again after use.
    case bytes(ScrubRead, IOBuffer)
    case failed(ScrubRead, errno: Int32)
  }

  private let kind: TokenKind
  private var items = SlotTable<Item>()

  init(_ kind: TokenKind) { self.kind = kind }

  mutating func start(_ read: ScrubRead, _ file: OpenFile, at offset: UInt64, count: Int, _ ring: Ring) {
    let buffer = IOBuffer(count: count)
    let transfer = Transfer(reading: buffer.memory.bytes, from: file.descriptor, at: offset)
    let slot = items.insert(Item(read: read, buffer: buffer, file: file, transfer: transfer))
    transfer.submit(to: ring, token: Token(kind, slot).rawValue)
  }

  mutating func completed(_ slot: Int, _ result: Int32, _ ring: Ring) -> Outcome {
    guard var item = items[slot] else { preconditionFailure("a scrubbing read in flight completed") }
    switch item.transfer.advance(result) {
    case .goesOn:
      items[slot] = item
      item.transfer.submit(to: ring, token: Token(kind, slot).rawValue)
      return .goesOn
    case .complete:
      items.remove(slot)
      return .bytes(item.read, item.buffer)
    case .failed(let errno):
      items.remove(slot)
      return .failed(item.read, errno: errno)
    }
  }

  var count: Int { items.count }
}
