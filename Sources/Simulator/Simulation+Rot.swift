import Node
import Primitives
import Store

// Rot: a bit of a page at rest turns over, without anybody writing there.
//
// As long as no peer can give a page back, a node survives only the rot of pages whose content it has in memory. So only such
// pages rot, in seeds in which no page is dropped from memory; and what no pass has found when the process ends is as it was.

/// A page that rotted.
struct Rot {
  let page: PageID
  let offset: Int
  let mask: UInt8
  /// All of the page, as it is since then.
  let image: [UInt8]
  /// Passes of scrubbing that had ended.
  let passes: UInt64
  var isFound = false
}

extension Simulation {
  /// One after the other through the file from a drawn place; nothing when no page may rot.
  func rot(_ machine: Machine) {
    guard missChance == 0, let node = machine.node, node.isOpen, node.failure == nil else { return }
    let pages = UInt64(node.storeStatistics.pages)
    let first = random.below(pages)
    for step in 0..<pages {
      let page = PageID(UInt32((first + step) % pages))
      guard node.isCleanInMemory(page), !machine.rots.contains(where: { $0.page == page }) else { continue }
      return rot(machine, node, page)
    }
  }

  private func rot(_ machine: Machine, _ node: Node, _ page: PageID) {
    let (offset, mask) = (Int(random.below(UInt64(Store.pageBytes))), UInt8(1) << UInt8(random.below(8)))
    machine.disk.flip(Machine.pagesName, Int(page.fileOffset) + offset, mask)
    machine.rots.append(
      Rot(page: page, offset: offset, mask: mask, image: image(machine, page), passes: node.statistics.scrubPasses))
    story.tell(now, "\(machine.id) \(page) rots at \(offset)")
    if let index = Fault.names.firstIndex(of: Fault.rotName) { counters.faults[index] += 1 }
  }

  private func image(_ machine: Machine, _ page: PageID) -> [UInt8] {
    machine.disk.read(Machine.pagesName, offset: page.fileOffset, count: Store.pageBytes)
  }

  /// A node says that it has found damage, or what became of it.
  func damageReported(_ machine: Machine, _ text: String, _ outcome: ScrubOutcome) {
    let place = machine.rots.firstIndex { text.hasPrefix("page \($0.page.rawValue) at offset \($0.page.fileOffset) ") }
    guard let place else { return fail("scrubbing finds no damage where nothing rotted", "\(machine.id): \(text)") }
    machine.rots[place].isFound = true
    switch outcome {
    case .mending: counters.count(.rotFound)
    case .rewritten: counters.count(.rotRewritten)
    case .gone, .later: break
    case .fatal: fail("a page that is in memory is rewritten", "\(machine.id): \(text)")
    }
  }

  /// Two more passes have ended, so one of them was whole: it has read the page, if that is still the same.
  func checkRot(_ machine: Machine) {
    guard let node = machine.node else { return }
    for rot in machine.rots where !rot.isFound && node.statistics.scrubPasses >= rot.passes + 2 {
      guard node.isCleanInMemory(rot.page), image(machine, rot.page) == rot.image else { continue }
      fail("rot is found by the next whole pass", "\(machine.id): \(rot.page)")
    }
    machine.rots.removeAll { image(machine, $0.page) != $0.image }
  }

  /// The process has ended.
  func undoRot(_ machine: Machine) {
    for rot in machine.rots where image(machine, rot.page) == rot.image {
      machine.disk.flip(Machine.pagesName, Int(rot.page.fileOffset) + rot.offset, rot.mask)
    }
    machine.rots = []
  }
}
