import Primitives
import Ring

/// Random 4 KiB operations on one file with a fixed number in flight, through the ring as the server uses it.
final class DiskProbe {
  enum Direction: String { case read, write }

  struct Result {
    var perSecond: Double
    var latencies: Latencies
  }

  static let blockBytes = 4096

  private let direction: Direction
  private let depth: Int
  private let ring: Ring
  private let file: OpenFile
  private let buffer: AlignedBuffer
  private let blocks: UInt64
  private var random = SeededRandom(seed: 4096)
  private var startedAt: [Instant]

  init(path: String, direction: Direction, depth: Int) throws(BenchError) {
    self.direction = direction
    self.depth = depth
    ring = try BenchError.ring(entries: max(8, depth))
    let options: File.Options = direction == .read ? [.read, .direct] : [.write, .direct, .durable]
    let file = try OpenFile(path, options)
    self.file = file
    blocks = try BenchError.system { () throws(SystemError) in try file.file.size() } / UInt64(Self.blockBytes)
    buffer = AlignedBuffer(count: depth * Self.blockBytes)
    startedAt = Array(repeating: .zero, count: depth)
  }

  func run(seconds: Double) throws(BenchError) -> Result {
    var latencies = Latencies()
    let start = ring.now()
    let end = start + Nanoseconds(UInt64(seconds * 1e9))
    for slot in 0..<depth { submit(slot, at: start) }
    var (inFlight, now) = (depth, start)
    while inFlight > 0 {
      let completions = ring.wait(until: nil)
      now = ring.now()
      for completion in completions {
        guard completion.result == Int32(Self.blockBytes) else {
          throw .failed("\(file.file.path): \(systemText(completion.code)) (\(direction.rawValue))")
        }
        let slot = Int(completion.token)
        latencies.add((now - startedAt[slot]).rawValue)
        if now < end { submit(slot, at: now) } else { inFlight -= 1 }
      }
    }
    return Result(perSecond: Double(latencies.count) / (Double((now - start).rawValue) / 1e9), latencies: latencies)
  }

  private func submit(_ slot: Int, at now: Instant) {
    let first = slot * Self.blockBytes
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[first..<first + Self.blockBytes])
    let offset = random.below(blocks) * UInt64(Self.blockBytes)
    startedAt[slot] = now
    switch direction {
    case .read: ring.read(file.descriptor, into: part, at: offset, token: UInt64(slot))
    case .write: ring.write(file.descriptor, UnsafeRawBufferPointer(part), at: offset, token: UInt64(slot))
    }
  }
}

/// An open file that a class may hold.
final class OpenFile {
  let file: File
  init(_ path: String, _ options: File.Options) throws(BenchError) {
    file = try BenchError.system { () throws(SystemError) in try File(path, options) }
  }
  var descriptor: Int32 { file.descriptor }
}
