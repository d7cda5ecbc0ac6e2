/// A length of time as options give it: `30d`, `12h`, `90m`, `45s`.
enum Lifetime {
  /// Seconds; nil when the text is none, or longer than ten years.
  static func seconds(_ text: String) -> UInt64? {
    let units: [Character: UInt64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    guard let unit = text.last.flatMap({ units[$0] }), let count = UInt64(text.dropLast()), count > 0 else {
      return nil
    }
    let (seconds, overflow) = count.multipliedReportingOverflow(by: unit)
    return overflow || seconds > 3650 * 86_400 ? nil : seconds
  }
}
