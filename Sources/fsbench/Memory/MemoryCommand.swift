import ArgumentParser
import Glibc
import Primitives
import Ring
import Store

/// `fsbench memory`: frames for pages, beside the allocator of the C library, and how near they are.
struct MemoryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memory", abstract: "What a page's frame costs, beside malloc, and where it is.",
    discussion: """
      frames/exchange/latency is the time to give a frame of 16 KiB back and to take another one, as a page that comes in for another \
      does, in any order; malloc's is that of free and aligned_alloc of the same size. frames/near is the share of frames on the \
      node of the processor that uses them, on a machine of one node 1. That operations allocate nothing is what Tests/Budgets/run \
      counts.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var repetition: RoundsOptions
  @Option(help: ArgumentHelp("Memory for pages.", valueName: "MiB")) var memory = 256

  func validate() throws {
    guard (8...65_536).contains(memory) else { throw ValidationError("--memory is between 8 and 65536.") }
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let machine = Machine()
      let node = MemoryNodes.current
      guard MemoryNodes.stay(on: node) else { throw .failed("the thread cannot stay on node \(node)") }
      let frames = FramesInUse(count: memory * 64, node: node)
      let allocated = AllocatedPages(count: memory * 64)
      var (ours, theirs): ([Double], [Double]) = ([], [])
      for _ in 0..<repetition.rounds {
        ours.append(try machine.measure { () throws(BenchError) in frames.exchange() })
        theirs.append(try machine.measure { () throws(BenchError) in allocated.exchange() })
      }
      let (near, resident) = frames.nearness
      let share = resident > 0 ? Double(near) / Double(resident) : 0
      try Report(options: report, prefix: "frames/", machine: machine).print(
        [
          Figure(
            name: "frames/exchange/latency", value: ours.median, unit: .seconds,
            reference: .init(name: "malloc", value: theirs.median)),
          Figure(name: "frames/near", value: share, unit: .number, reference: .init(name: "bar", value: 0.98)),
        ],
        remarks: [
          "nodes of memory: \(MemoryNodes.count); \(near) of \(resident) pages looked at are on node \(node)"
        ])
    }
  }
}

/// Times an exchange of one thing held for a new one, a million of them at places that follow no order.
private func secondsOfExchange(count: Int, _ exchange: (Int) -> Void) -> Double {
  let rounds = 1_000_000
  var random = SeededRandom(seed: 5)
  let places = (0..<rounds).map { _ in Int(random.below(UInt64(count))) }
  let began = bootTime()
  for place in places { exchange(place) }
  return Double((bootTime() - began).rawValue) / 1e9 / Double(rounds)
}

/// All frames of a store's memory, touched.
private final class FramesInUse {
  private var arenas: FrameArenas
  private var held: [UnsafeMutableRawPointer] = []
  private let memory: ResidentMemory
  private let node: Int

  init(count: Int, node: Int) {
    let memory = ResidentMemory(byteCount: count * Store.pageBytes, node: node)
    var limits = StoreLimits(framesMax: count, pagesMax: UInt32(count))
    limits.memory = FrameMemory(allocate: { count, _ in memory.take(count) }, deallocate: { _, _ in })
    (self.memory, self.node) = (memory, node)
    arenas = FrameArenas(limits)
    while let frame = arenas.take() {
      frame.initializeMemory(as: UInt8.self, repeating: 1, count: Store.pageBytes)
      held.append(frame)
    }
  }

  func exchange() -> Double {
    secondsOfExchange(count: held.count) { place in
      arenas.give(held[place])
      guard let frame = arenas.take() else { preconditionFailure("what was given can be taken") }
      held[place] = frame
    }
  }

  var nearness: (near: Int, resident: Int) { MemoryNodes.nearness(of: memory.handedOutBytes, to: node) }
}

/// As many pages from the C library.
private final class AllocatedPages {
  private var held: [UnsafeMutableRawPointer] = []

  init(count: Int) {
    for _ in 0..<count {
      let page = AllocatedPages.allocate()
      page.initializeMemory(as: UInt8.self, repeating: 1, count: Store.pageBytes)
      held.append(page)
    }
  }

  deinit { for page in held { free(page) } }

  private static func allocate() -> UnsafeMutableRawPointer {
    guard let page = aligned_alloc(4096, Store.pageBytes) else { preconditionFailure("no memory is left") }
    return page
  }

  func exchange() -> Double {
    secondsOfExchange(count: held.count) { place in
      free(held[place])
      held[place] = AllocatedPages.allocate()
    }
  }
}
