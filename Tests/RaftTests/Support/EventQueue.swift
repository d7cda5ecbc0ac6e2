/// A binary heap by time; what is pushed first comes first at the same time.
struct EventQueue<Action> {
  private struct Item {
    var time: UInt64
    var order: UInt64
    var action: Action
    func isBefore(_ other: Item) -> Bool { (time, order) < (other.time, other.order) }
  }

  private var items: [Item] = []
  private var pushed: UInt64 = 0

  var first: UInt64? { items.first?.time }

  mutating func push(_ time: UInt64, _ action: Action) {
    pushed += 1
    items.append(Item(time: time, order: pushed, action: action))
    var i = items.count - 1
    while i > 0, items[i].isBefore(items[(i - 1) / 2]) {
      items.swapAt(i, (i - 1) / 2)
      i = (i - 1) / 2
    }
  }

  mutating func pop() -> (UInt64, Action)? {
    guard let top = items.first, let last = items.popLast() else { return nil }
    guard !items.isEmpty else { return (top.time, top.action) }
    items[0] = last
    var i = 0
    while true {
      var smallest = i
      for child in [2 * i + 1, 2 * i + 2] where child < items.count && items[child].isBefore(items[smallest]) {
        smallest = child
      }
      if smallest == i { return (top.time, top.action) }
      items.swapAt(i, smallest)
      i = smallest
    }
  }
}
