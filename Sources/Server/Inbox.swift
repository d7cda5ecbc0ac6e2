import Node

/// What the edge has to tell the node in this turn: filled by connections and links, emptied by the loop.
package final class Inbox {
  private var events: [NodeEvent] = []

  package init() {}

  package var isEmpty: Bool { events.isEmpty }

  func put(_ event: NodeEvent) { events.append(event) }

  /// All events in the order in which they came.
  package func take(into other: inout [NodeEvent]) {
    other.removeAll(keepingCapacity: true)
    swap(&events, &other)
  }
}
