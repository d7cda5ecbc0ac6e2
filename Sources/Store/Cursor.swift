// Walking a tree in key order, both ways.

import Primitives

/// A place in a shard's tree.
///
/// It remembers pages by their pointers, so evictions and loads do not disturb it: any step may miss, leaves the cursor
/// where it was, and can be made again when the page has come. A change of any tree, and a freeze, ends its life: seek again.
package final class Cursor {
  /// A page on the way down, and the slot taken in it.
  private struct Step {
    var pointer = PagePointer.none
    var slot = 0
  }

  private let store: Store
  private let tree: UnsafeMutablePointer<Tree>
  /// The way to the row; and the way that is being tried, which becomes it when nothing has missed.
  private let steps: UnsafeMutablePointer<Step>
  private let trial: UnsafeMutablePointer<Step>
  private let state: UnsafeMutablePointer<State>

  /// Behind a pointer, so that a step costs no check for exclusive access.
  private struct State {
    var changeCount: UInt64
    var isOnRow = false
  }

  init(_ store: Store, _ tree: UnsafeMutablePointer<Tree>) {
    self.store = store
    self.tree = tree
    state = .allocate(capacity: 1)
    state.initialize(to: State(changeCount: store.changeCount))
    steps = .allocate(capacity: Int(Tree.heightMax))
    trial = .allocate(capacity: Int(Tree.heightMax))
    steps.initialize(repeating: Step(), count: Int(Tree.heightMax))
    trial.initialize(repeating: Step(), count: Int(Tree.heightMax))
  }

  deinit {
    steps.deallocate()
    trial.deallocate()
    state.deallocate()
  }
}

extension Cursor {
  /// On a row; otherwise before the first seek, or past an end.
  package var isOnRow: Bool { state.pointee.isOnRow }
}

extension Store {
  package func cursor(_ shard: ShardID) throws(PageMissing) -> Cursor {
    guard let state = try find(shard) else { preconditionFailure("rows are read from shards that exist") }
    return Cursor(self, state.pointee.tree)
  }
}

// MARK: Seeking. All return whether the cursor is on a row.

extension Cursor {
  /// To the first row whose key is `key` or after it.
  package func seek(atOrAfter key: UnsafeRawBufferPointer) throws(PageMissing) -> Bool {
    try seek { $0.level == 0 ? $0.find(key).index : $0.childIndex(key) }
  }

  /// To the last row whose key is before `key`.
  package func seek(before key: UnsafeRawBufferPointer) throws(PageMissing) -> Bool {
    try seek { $0.level == 0 ? $0.find(key).index - 1 : $0.childIndex(key) }
  }

  package func first() throws(PageMissing) -> Bool { try seek { _ in 0 } }

  package func last() throws(PageMissing) -> Bool { try seek { $0.count - 1 } }

  private func seek(_ choose: (Page) -> Int) throws(PageMissing) -> Bool {
    state.pointee = State(changeCount: store.changeCount)
    guard tree.pointee.height > 0 else { return false }
    var level = Int(tree.pointee.height) - 1
    var pointer = tree.pointee.root
    while true {
      let page = try store.access(pointer, .tree, level: UInt8(level))
      trial[level] = Step(pointer: pointer, slot: choose(page))
      if level == 0 { return try settle(page) }
      pointer = page.child(trial[level].slot)
      level -= 1
      if level == 0 { store.prefetchSlots(of: pointer.page) }
    }
  }

  /// The slot may lie just outside the leaf: then the row is in the next leaf on that side.
  private func settle(_ leaf: Page) throws(PageMissing) -> Bool {
    let slot = trial[0].slot
    if slot >= 0, slot < leaf.count {
      accept()
      return true
    }
    return try cross(forward: slot >= 0)
  }

  private func accept() {
    steps.update(from: trial, count: Int(tree.pointee.height))
    state.pointee.isOnRow = true
  }
}

// MARK: Stepping

extension Cursor {
  /// Records lie in their leaf in the order of their insertion, which no processor foresees: so many rows ahead of the
  /// cursor they are asked for.
  private static var rowsAhead: Int { 4 }

  /// To the next row. False at the end, where the cursor has left the rows.
  package func next() throws(PageMissing) -> Bool {
    let leaf = try leaf()
    let slot = steps[0].slot &+ 1
    if slot < leaf.count {
      steps[0].slot = slot
      leaf.prefetchRecord(slot &+ Cursor.rowsAhead)
      return true
    }
    return try leave(forward: true)
  }

  /// To the row before.
  package func previous() throws(PageMissing) -> Bool {
    let leaf = try leaf()
    let slot = steps[0].slot &- 1
    if slot >= 0 {
      steps[0].slot = slot
      leaf.prefetchRecord(slot &- Cursor.rowsAhead)
      return true
    }
    return try leave(forward: false)
  }

  private func leave(forward: Bool) throws(PageMissing) -> Bool {
    trial.update(from: steps, count: Int(tree.pointee.height))
    if try cross(forward: forward) { return true }
    state.pointee.isOnRow = false
    return false
  }

  /// From the leaf of `trial` to the next leaf that has rows.
  private func cross(forward: Bool) throws(PageMissing) -> Bool {
    let height = Int(tree.pointee.height)
    while true {
      var level = 1
      while level < height, try !turn(level, forward: forward) { level += 1 }
      if level >= height { return false }
      let leaf = try descend(from: level, forward: forward)
      guard leaf.count > 0 else { continue }
      accept()
      return true
    }
  }

  /// Takes the neighbouring slot of an inner page. False if there is none.
  private func turn(_ level: Int, forward: Bool) throws(PageMissing) -> Bool {
    let page = try store.access(trial[level].pointer, .tree, level: UInt8(level))
    let slot = trial[level].slot + (forward ? 1 : -1)
    guard slot >= 0, slot < page.count else { return false }
    trial[level].slot = slot
    return true
  }

  /// Down to the near end of the subtree that `trial` points to at `level`.
  private func descend(from level: Int, forward: Bool) throws(PageMissing) -> Page {
    var page = try store.access(trial[level].pointer, .tree, level: UInt8(level))
    for lower in (0..<level).reversed() {
      let slot = trial[lower + 1].slot
      let pointer = page.child(slot)
      if lower == 0 { prefetchLeaf(of: page, slot + (forward ? 1 : -1)) }
      page = try store.access(pointer, .tree, level: UInt8(lower))
      trial[lower] = Step(pointer: pointer, slot: forward ? 0 : page.count - 1)
    }
    return page
  }

  /// The leaf that comes after this one: its slots can come from memory while this one is walked.
  private func prefetchLeaf(of parent: Page, _ slot: Int) {
    if slot >= 0, slot < parent.count { store.prefetchSlots(of: parent.child(slot).page) }
  }
}

// MARK: The row

extension Cursor {
  /// Key and value at once. Valid until the next call that may change or load pages, or reads another long value.
  package func row() throws(PageMissing) -> (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    let (leaf, slot) = (try leaf(), steps[0].slot)
    return (leaf.key(slot), try store.value(of: leaf, slot))
  }

  /// The row's key. Valid until the next call that may change or load pages.
  package func key() throws(PageMissing) -> UnsafeRawBufferPointer { try leaf().key(steps[0].slot) }

  /// The row's value. Valid until the next call that may change or load pages, or reads another long value.
  package func value() throws(PageMissing) -> UnsafeRawBufferPointer {
    try store.value(of: try leaf(), steps[0].slot)
  }

  @inline(__always) private func leaf() throws(PageMissing) -> Page {
    precondition(isOnRow, "the cursor is on a row")
    precondition(state.pointee.changeCount == store.changeCount, "a cursor lives between two changes: seek again")
    let pointer = steps[0].pointer
    guard let page = store.resident(pointer, .tree, level: 0) else {
      throw PageMissing(pointer: pointer, kind: .tree, level: 0)
    }
    return page
  }
}
