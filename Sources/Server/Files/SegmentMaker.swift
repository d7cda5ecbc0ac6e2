import Glibc
import Journal
import Ring

/// Makes one fresh segment without keeping the loop waiting:
///
///     n.log.new ─► reserve ─► zeros, 256 KiB at a time ─► fdatasync ─► n.log ─► fsync of the directory
///
/// Zeros are written because a reserved extent is converted at its first write, which would make each durable log write a
/// change of metadata as well. One chunk is in flight, so that log writes get their turn at the disk.
final class SegmentMaker {
  private enum Step { case reserving, filling, flushing, naming }

  let order: SegmentPreparation
  private let path: String
  private let directory: Int32
  private let file: OpenFile
  private var step = Step.reserving
  private var filled: UInt64 = 0
  private var fill: Transfer
  private let zeros: IOBuffer
  private static let chunkBytes = 256 << 10

  init(_ order: SegmentPreparation, path: String, directory: Int32) throws(SystemError) {
    self.order = order
    self.path = path
    self.directory = directory
    zeros = IOBuffer(count: SegmentMaker.chunkBytes)
    file = try OpenFile(path + ".new", [.write, .create, .truncate, .direct])
    fill = Transfer(writing: zeros.memory.readOnly, to: file.descriptor, at: 0)
  }

  private var token: UInt64 { Token(.segment).rawValue }

  /// The operation of the present step.
  func submit(to ring: Ring) {
    switch step {
    case .reserving: ring.allocate(file.descriptor, from: 0, count: order.bytes, token: token)
    case .filling: fill.submit(to: ring, token: token)
    case .flushing: ring.synchronize(file.descriptor, metadata: true, token: token)
    case .naming: ring.synchronize(directory, metadata: true, token: token)
    }
  }

  /// Takes in a result and submits what comes next.
  func advance(_ result: Int32, _ ring: Ring) -> Transfer.Outcome {
    let outcome = step == .filling ? fill.advance(result) : simple(result)
    switch outcome {
    case .failed: return outcome
    case .goesOn: submit(to: ring)
    case .complete:
      if let failure = next() { return failure }
      if step == .naming, isNamed { return .complete }
      submit(to: ring)
    }
    return .goesOn
  }

  private func simple(_ result: Int32) -> Transfer.Outcome {
    if result == -EINTR || result == -EAGAIN { return .goesOn }
    return result < 0 ? .failed(errno: -result) : .complete
  }

  private var isNamed = false

  /// To the next step; a failure when the name could not be given.
  private func next() -> Transfer.Outcome? {
    switch step {
    case .reserving:
      step = .filling
      startChunk()
    case .filling:
      filled += UInt64(fill.bytes.count)
      if filled < order.bytes { startChunk() } else { step = .flushing }
    case .flushing:
      do throws(SystemError) { try FileSystem.rename(path + ".new", to: path) } catch {
        return .failed(errno: error.code)
      }
      step = .naming
    case .naming: isNamed = true
    }
    return nil
  }

  private func startChunk() {
    let count = Int(min(UInt64(SegmentMaker.chunkBytes), order.bytes - filled))
    let part = UnsafeRawBufferPointer(rebasing: zeros.memory.readOnly[..<count])
    fill = Transfer(writing: part, to: file.descriptor, at: filled)
  }

  /// Gives the space back after a failure.
  func discard() {
    do throws(SystemError) { try FileSystem.remove(path + ".new") } catch {
      // It is removed at the next start.
    }
  }
}
