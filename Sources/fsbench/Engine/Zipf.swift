import Foundation
import Primitives

/// Draws hot keys: rank 0 most often, each rank in proportion to 1 / (rank + 1)^0.99. (Gray et al., "Quickly generating
/// billion-record synthetic databases", SIGMOD 1994; as YCSB has it.)
struct Zipf {
  private static let exponent = 0.99

  private let count: Double
  private let sum: Double
  private let slope: Double

  /// So many ranks, at least two.
  init(count: Int) {
    self.count = Double(count)
    sum = (1...count).reduce(0) { $0 + pow(Double($1), -Zipf.exponent) }
    slope = (1 - pow(2 / Double(count), 1 - Zipf.exponent)) / (1 - (1 + pow(0.5, Zipf.exponent)) / sum)
  }

  func rank(_ random: inout SeededRandom) -> Int {
    let share = Double(random.next() >> 11) / Double(1 << 53)
    if share * sum < 1 { return 0 }
    if share * sum < 1 + pow(0.5, Zipf.exponent) { return 1 }
    let rank = count * pow(slope * share - slope + 1, 1 / (1 - Zipf.exponent))
    return min(Int(rank), Int(count) - 1)
  }
}
