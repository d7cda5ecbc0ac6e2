import DequeModule
import Glibc
import Node
import Primitives
import Ring
import Sealing
import Store

/// The page file on disk: performs the store's page reads and the orders of its checkpoints through the ring.
///
/// Pages go past the page cache (O_DIRECT). Page writes of a checkpoint are made durable together by one fdatasync; a
/// superblock is written through a second descriptor with O_DSYNC, durable when its write completes.
///
/// With a sealer pages are encrypted on their way into a buffer, since a frame is read by others while it is written, and
/// decrypted in the buffer that they come into. The superblocks stay plain.
final class PageFile {
  private let file: OpenFile
  private let durable: OpenFile
  private let ring: Ring
  private let sealer: Sealer?
  private var reads = SlotTable<Read>()
  private var scrubs = ScrubReads(.pageScrub)
  /// Orders that wait until fewer reads are in flight: each read has a buffer.
  private var waitingReads: Deque<PageRead> = []
  private static let readsMax = 256
  private var writes = SlotTable<Write>()
  private var superblock: Write?
  private var freeBuffers: [IOBuffer] = []
  /// Of the file: all of it has its place on the disk.
  private(set) var byteCount: UInt64
  private var growing: UInt64 = 0

  private struct Read {
    let order: PageRead
    let buffer: IOBuffer
    var transfer: Transfer
  }

  private struct Write {
    let page: PageID
    /// Holds the encrypted bytes.
    var buffer: IOBuffer?
    var transfer: Transfer
  }

  enum Outcome {
    case goesOn
    case event(CheckpointEvent)
    /// Give the buffer back by `recycle` after use.
    case page(PageRead, IOBuffer)
    case readFailed(PageRead, errno: Int32)
  }

  init(path: String, ring: Ring, sealer: Sealer?) throws(SystemError) {
    file = try OpenFile(path, [.read, .write, .direct])
    durable = try OpenFile(path, [.read, .write, .direct, .durable])
    byteCount = try file.file.size()
    self.ring = ring
    self.sealer = sealer
  }

  private(set) var pagesRead: UInt64 = 0
  private(set) var pagesWritten: UInt64 = 0

  // MARK: - Orders

  func read(_ order: PageRead) {
    guard reads.count < Self.readsMax else { return waitingReads.append(order) }
    begin(order)
  }

  private func begin(_ order: PageRead) {
    let buffer = freeBuffers.popLast() ?? IOBuffer(count: order.count)
    let transfer = Transfer(reading: buffer.memory.bytes, from: file.descriptor, at: order.fileOffset)
    let slot = reads.insert(Read(order: order, buffer: buffer, transfer: transfer))
    transfer.submit(to: ring, token: Token(.pageRead, slot).rawValue)
  }

  /// The page as it is on the disk, whatever is in memory.
  func scrub(_ order: PageScrubRead) {
    scrubs.start(.page(order), file, at: order.fileOffset, count: order.count, ring)
  }

  func write(_ page: PageID, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
    let buffer = sealed(bytes)
    let transfer = Transfer(writing: buffer?.memory.readOnly ?? bytes, to: file.descriptor, at: offset)
    let slot = writes.insert(Write(page: page, buffer: buffer, transfer: transfer))
    transfer.submit(to: ring, token: Token(.pageWrite, slot).rawValue)
  }

  /// A buffer with the page encrypted; nil when it is to be plain.
  private func sealed(_ page: UnsafeRawBufferPointer) -> IOBuffer? {
    guard let sealer, sealer.isSealing else { return nil }
    let buffer = freeBuffers.popLast() ?? IOBuffer(count: page.count)
    sealer.seal(.page, page, into: buffer.memory.bytes)
    return buffer
  }

  func writeSuperblock(_ page: PageID, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
    let transfer = Transfer(writing: bytes, to: durable.descriptor, at: offset)
    superblock = Write(page: page, buffer: nil, transfer: transfer)
    transfer.submit(to: ring, token: Token(.superblockWrite).rawValue)
  }

  /// The file grows; its new blocks are reserved, so that writing them cannot fail for want of space.
  func grow(to bytes: UInt64) {
    growing = bytes
    ring.allocate(file.descriptor, from: 0, count: bytes, token: Token(.pageGrow).rawValue)
  }

  func synchronize() { ring.synchronize(file.descriptor, token: Token(.pageSync).rawValue) }

  // MARK: - Completions

  func readCompleted(_ slot: Int, _ result: Int32) -> Outcome {
    guard var read = reads[slot] else { preconditionFailure("a page read in flight completed") }
    switch read.transfer.advance(result) {
    case .goesOn:
      reads[slot] = read
      read.transfer.submit(to: ring, token: Token(.pageRead, slot).rawValue)
      return .goesOn
    case .complete:
      reads.remove(slot)
      beginWaiting()
      pagesRead += 1
      sealer?.openInPlace(.page, read.buffer.memory.bytes)
      return .page(read.order, read.buffer)
    case .failed(let errno):
      reads.remove(slot)
      beginWaiting()
      recycle(read.buffer)
      return .readFailed(read.order, errno: errno)
    }
  }

  func scrubCompleted(_ slot: Int, _ result: Int32) -> ScrubReads.Outcome {
    let outcome = scrubs.completed(slot, result, ring)
    if case .bytes(.page(let order), let buffer) = outcome, !order.isSuperblock {
      sealer?.openInPlace(.page, buffer.memory.bytes)
    }
    return outcome
  }

  private func beginWaiting() {
    if let order = waitingReads.popFirst() { begin(order) }
  }

  func recycle(_ buffer: IOBuffer) {
    if freeBuffers.count < 64 { freeBuffers.append(buffer) }
  }

  func writeCompleted(_ slot: Int, _ result: Int32) -> Outcome {
    guard var write = writes[slot] else { preconditionFailure("a page write in flight completed") }
    switch write.transfer.advance(result) {
    case .goesOn:
      writes[slot] = write
      write.transfer.submit(to: ring, token: Token(.pageWrite, slot).rawValue)
      return .goesOn
    case .complete:
      writes.remove(slot)
      if let buffer = write.buffer { recycle(buffer) }
      pagesWritten += 1
      return .event(.written(write.page))
    case .failed(let errno):
      writes.remove(slot)
      return .event(.failed(.write, errno: errno))
    }
  }

  func superblockCompleted(_ result: Int32) -> Outcome {
    guard var write = superblock else { preconditionFailure("a superblock write in flight completed") }
    switch write.transfer.advance(result) {
    case .goesOn:
      superblock = write
      write.transfer.submit(to: ring, token: Token(.superblockWrite).rawValue)
      return .goesOn
    case .complete:
      superblock = nil
      return .event(.superblockWritten)
    case .failed(let errno):
      superblock = nil
      return .event(.failed(.superblock, errno: errno))
    }
  }

  /// What a disk without room gave in part is given back: others wait for it, too.
  func growCompleted(_ result: Int32) -> Outcome {
    guard result < 0 else {
      byteCount = max(byteCount, growing)
      return .event(.grown)
    }
    do throws(SystemError) { try file.file.resize(byteCount) } catch {
      // The next attempt finds it there.
    }
    return .event(.failed(.grow, errno: -result))
  }

  /// Gives the end of the file back to the disk.
  func shrink(to bytes: UInt64) throws(SystemError) {
    try file.file.resize(bytes)
    byteCount = bytes
  }

  func synchronizeCompleted(_ result: Int32) -> Outcome {
    result < 0 ? .event(.failed(.sync, errno: -result)) : .event(.synced)
  }

  var inFlight: Int {
    reads.count + waitingReads.count + scrubs.count + writes.count + (superblock == nil ? 0 : 1)
  }
}
