/// Connections and, on each, requests in flight: `16x16`.
struct Shape: Hashable, CustomStringConvertible {
  var connections: Int
  var streams: Int

  static let single = Shape(connections: 1, streams: 1)

  init(connections: Int, streams: Int) { (self.connections, self.streams) = (connections, streams) }

  /// `16x16`; nil for anything else.
  init?(_ text: some StringProtocol) {
    let numbers = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard numbers.count == 2, (1...1000).contains(numbers[0]), (1...100).contains(numbers[1]) else { return nil }
    (connections, streams) = (numbers[0], numbers[1])
  }

  /// `1x1,16x16`; nil when one of them is none, or there is none.
  static func list(_ text: String) -> [Shape]? {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let shapes = parts.compactMap { Shape($0) }
    return shapes.count == parts.count ? shapes : nil
  }

  var description: String { "\(connections)x\(streams)" }
  var inFlight: Int { connections * streams }
}
