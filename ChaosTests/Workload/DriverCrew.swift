import Foundation
import Synchronization

/// Overwriters on threads of their own.
final class DriverCrew: Sendable {
  private let drivers: [Overwriter]
  private let sum = Mutex(Overwriter.Result())
  private let running = DispatchGroup()

  /// `rate` is each driver's; nil: as fast as it goes.
  init(_ drivers: [Overwriter], rate: Double?) {
    self.drivers = drivers
    for (number, driver) in drivers.enumerated() {
      running.enter()
      Thread { [self] in
        let result = Result { () throws(ChaosError) in try driver.overwrite(rate: rate, seed: UInt64(number)) }
        sum.withLock { add(result, to: &$0) }
        running.leave()
      }.start()
    }
  }

  private func add(_ result: Result<Overwriter.Result, ChaosError>, to sum: inout Overwriter.Result) {
    switch result {
    case .success(let one):
      sum.acknowledged += one.acknowledged
      sum.refused += one.refused
      sum.problem = sum.problem ?? one.problem
    case .failure(let error):
      sum.refused += 1
      sum.problem = error.message
    }
  }

  func finish() -> Overwriter.Result {
    for driver in drivers { driver.stop() }
    running.wait()
    return sum.withLock { $0 }
  }
}
