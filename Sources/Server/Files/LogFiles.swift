import Glibc
import Journal
import Node
import Primitives
import Ring
import Sealing

/// The log's segments on disk: performs the journal's writes, reads and preparations through the ring.
///
/// Segment n is the file `n.log` with eight digits. Blocks are written past the page cache, each durable when its write
/// completes (O_DIRECT, O_DSYNC), several at a time. A segment appears under its name when it is complete
/// (`SegmentPreparation` below): after a crash a half-made one is a `.new` file, which the next start removes.
///
/// With a sealer blocks are encrypted into a buffer of their own and decrypted in the buffer that they come into.
package final class LogFiles {
  private let directory: String
  private let directoryHandle: OpenFile
  private var segments: [UInt32: OpenFile] = [:]
  private var writes = SlotTable<Write>()
  private var reads = SlotTable<Read>()
  private var scrubs = ScrubReads(.logScrub)
  private var preparation: SegmentMaker?
  private let ring: Ring
  private let sealer: Sealer?
  /// Of one block each, for encrypted ones.
  private var freeBuffers: [IOBuffer] = []

  private struct Write {
    let id: WriteID
    let buffer: IOBuffer?
    let startedAt: Instant
    var transfer: Transfer
  }

  private struct Read {
    let id: ReadID
    let buffer: IOBuffer
    let count: Int
    var transfer: Transfer
  }

  /// What a completion means for the node.
  enum Outcome {
    /// Nothing yet.
    case goesOn
    case event(JournalEvent)
    /// Valid until the next call.
    case bytes(ReadID, IOBuffer, count: Int)
  }

  init(directory: String, ring: Ring, sealer: Sealer?) throws(SystemError) {
    self.directory = directory
    self.ring = ring
    self.sealer = sealer
    directoryHandle = try OpenFile(directory, .directory)
  }

  /// How long durable writes took.
  private(set) var writeTimes = Histogram()

  package static func name(of file: UInt32) -> String {
    let digits = String(file)
    return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".log"
  }

  /// The number in a segment's name; nil for any other name.
  static func number(in name: String) -> UInt32? {
    guard name.hasSuffix(".log"), let number = UInt32(name.dropLast(4)), Self.name(of: number) == name else {
      return nil
    }
    return number
  }

  private func path(_ file: UInt32) -> String { directory + "/" + Self.name(of: file) }

  private func segment(_ file: UInt32) throws(SystemError) -> OpenFile {
    if let open = segments[file] { return open }
    let open = try OpenFile(path(file), [.read, .write, .direct, .durable])
    segments[file] = open
    return open
  }

  // MARK: - Orders

  /// `bytes` stay where they are until the write is reported. An error at once is reported like one of the device.
  func write(_ order: JournalWrite, _ bytes: UnsafeRawBufferPointer, at now: Instant) -> JournalEvent? {
    do throws(SystemError) {
      let file = try segment(order.file)
      let buffer = sealed(bytes)
      let written = buffer.map { UnsafeRawBufferPointer(rebasing: $0.memory.readOnly[..<bytes.count]) } ?? bytes
      let transfer = Transfer(writing: written, to: file.descriptor, at: order.offset)
      let slot = writes.insert(Write(id: order.id, buffer: buffer, startedAt: now, transfer: transfer))
      transfer.submit(to: ring, token: Token(.logWrite, slot).rawValue)
      return nil
    } catch { return .writeFailed(order.id, errno: error.code) }
  }

  /// A buffer with the block encrypted; nil when it is to be plain.
  private func sealed(_ block: UnsafeRawBufferPointer) -> IOBuffer? {
    guard let sealer, sealer.isSealing else { return nil }
    let buffer = freeBuffers.popLast() ?? IOBuffer(count: JournalFormat.blockBytesMax)
    sealer.seal(.block, block, into: UnsafeMutableRawBufferPointer(rebasing: buffer.memory.bytes[..<block.count]))
    return buffer
  }

  func read(_ order: JournalRead) -> JournalEvent? {
    do throws(SystemError) {
      let file = try segment(order.file)
      let buffer = IOBuffer(count: order.count)
      let transfer = Transfer(reading: buffer.memory.bytes, from: file.descriptor, at: order.offset)
      let slot = reads.insert(Read(id: order.id, buffer: buffer, count: order.count, transfer: transfer))
      transfer.submit(to: ring, token: Token(.logRead, slot).rawValue)
      return nil
    } catch { return .readFailed(order.id, errno: error.code) }
  }

  /// The error if the file cannot be opened.
  func scrub(_ order: LogScrubRead) -> Int32? {
    do throws(SystemError) {
      scrubs.start(.log(order), try segment(order.file), at: order.offset, count: order.count, ring)
      return nil
    } catch { return error.code }
  }

  /// One at a time: the journal orders the next after this was reported.
  func prepare(_ order: SegmentPreparation) -> JournalEvent? {
    precondition(preparation == nil, "one segment is prepared at a time")
    do throws(SystemError) {
      if !order.isFresh {
        _ = try segment(order.file)
        return .segmentReady(file: order.file)
      }
      segments[order.file] = nil
      let maker = try SegmentMaker(order, path: path(order.file), directory: directoryHandle.descriptor)
      preparation = maker
      maker.submit(to: ring)
      return nil
    } catch { return .segmentFailed(file: order.file, errno: error.code) }
  }

  /// Gives a free segment back to the system.
  func remove(_ file: UInt32) throws(SystemError) {
    segments[file] = nil
    try FileSystem.remove(path(file))
  }

  // MARK: - Completions

  func writeCompleted(_ slot: Int, _ result: Int32, at now: Instant) -> Outcome {
    guard var write = writes[slot] else { preconditionFailure("a log write in flight completed") }
    switch write.transfer.advance(result) {
    case .goesOn:
      writes[slot] = write
      write.transfer.submit(to: ring, token: Token(.logWrite, slot).rawValue)
      return .goesOn
    case .complete:
      writes.remove(slot)
      if let buffer = write.buffer { freeBuffers.append(buffer) }
      writeTimes.record(now - write.startedAt)
      return .event(.written(write.id))
    case .failed(let errno):
      writes.remove(slot)
      return .event(.writeFailed(write.id, errno: errno))
    }
  }

  func readCompleted(_ slot: Int, _ result: Int32) -> Outcome {
    guard var read = reads[slot] else { preconditionFailure("a log read in flight completed") }
    switch read.transfer.advance(result) {
    case .goesOn:
      reads[slot] = read
      read.transfer.submit(to: ring, token: Token(.logRead, slot).rawValue)
      return .goesOn
    case .complete:
      reads.remove(slot)
      if let sealer { openBlocks(in: read.buffer.memory.bytes) { sealer.openInPlace(.block, $0) } }
      return .bytes(read.id, read.buffer, count: read.count)
    case .failed(let errno):
      reads.remove(slot)
      return .event(.readFailed(read.id, errno: errno))
    }
  }

  func scrubCompleted(_ slot: Int, _ result: Int32) -> ScrubReads.Outcome {
    let outcome = scrubs.completed(slot, result, ring)
    if case .bytes(_, let buffer) = outcome, let sealer {
      openBlocks(in: buffer.memory.bytes) { sealer.openInPlace(.block, $0) }
    }
    return outcome
  }

  func preparationCompleted(_ result: Int32) -> Outcome {
    guard let maker = preparation else { preconditionFailure("a segment is being prepared") }
    switch maker.advance(result, ring) {
    case .goesOn: return .goesOn
    case .complete:
      preparation = nil
      return .event(.segmentReady(file: maker.order.file))
    case .failed(let errno):
      preparation = nil
      maker.discard()
      return .event(.segmentFailed(file: maker.order.file, errno: errno))
    }
  }

  var inFlight: Int { writes.count + reads.count + scrubs.count + (preparation == nil ? 0 : 1) }
}
