/// A column value of type timestamp: microseconds since 1970-01-01T00:00:00Z, in the years 0000 to 9999, as RFC 3339.
/// (Not to be confused with `Timestamp`, the version of a row.)
package struct Moment: Hashable, Comparable, Sendable {
  package let microseconds: Int64

  package init(microseconds: Int64) { self.microseconds = microseconds }
  package static func < (a: Moment, b: Moment) -> Bool { a.microseconds < b.microseconds }

  static let earliest = Moment(microseconds: days(year: 0, month: 1, day: 1) * 86_400_000_000)
  static let latest = Moment(microseconds: days(year: 10_000, month: 1, day: 1) * 86_400_000_000 - 1)
  var isPrintable: Bool { self >= Moment.earliest && self <= Moment.latest }

  /// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
  static func days(year: Int, month: Int, day: Int) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return Int64(era * 146_097 + dayOfEra - 719_468)
  }

  /// The date of a day since 1970-01-01; the inverse of `days`.
  static func date(days: Int64) -> (year: Int, month: Int, day: Int) {
    let z = Int(days) + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }

  static func daysInMonth(year: Int, month: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  static func parse(_ text: UnsafeRawBufferPointer) throws(Mismatch) -> Moment {
    var parser = MomentParser(text: text)
    return try parser.parse()
  }

  /// `2025-01-31T12:00:00.500000Z`: always UTC, always six digits of fraction.
  func appendText(to out: inout [UInt8]) {
    let dayLength: Int64 = 86_400_000_000
    var day = microseconds / dayLength
    var rest = microseconds % dayLength
    if rest < 0 {
      day -= 1
      rest += dayLength
    }
    let date = Moment.date(days: day)
    let second = Int(rest / 1_000_000)
    appendNumber(date.year, digits: 4, to: &out)
    out.append(UInt8(ascii: "-"))
    appendNumber(date.month, digits: 2, to: &out)
    out.append(UInt8(ascii: "-"))
    appendNumber(date.day, digits: 2, to: &out)
    out.append(UInt8(ascii: "T"))
    appendNumber(second / 3600, digits: 2, to: &out)
    out.append(UInt8(ascii: ":"))
    appendNumber(second / 60 % 60, digits: 2, to: &out)
    out.append(UInt8(ascii: ":"))
    appendNumber(second % 60, digits: 2, to: &out)
    out.append(UInt8(ascii: "."))
    appendNumber(Int(rest % 1_000_000), digits: 6, to: &out)
    out.append(UInt8(ascii: "Z"))
  }
}

/// Appends a number with leading zeros.
private func appendNumber(_ value: Int, digits: Int, to out: inout [UInt8]) {
  var divisor = 1
  for _ in 1..<digits { divisor *= 10 }
  while divisor > 0 {
    out.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
    divisor /= 10
  }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.f…](Z|±HH:MM)`.
private struct MomentParser {
  let text: UnsafeRawBufferPointer
  var offset = 0

  init(text: UnsafeRawBufferPointer) { self.text = text }

  mutating func parse() throws(Mismatch) -> Moment {
    let day = try takeDate()
    guard take("T") || take("t") else { throw .notTimestamp }
    let second = try takeTimeOfDay()
    let fraction = take(".") ? try takeFraction() : 0
    let zone = try takeZone()
    guard offset == text.count else { throw .notTimestamp }
    let moment = Moment(microseconds: ((day * 86_400 + Int64(second)) - Int64(zone)) * 1_000_000 + Int64(fraction))
    guard moment.isPrintable else { throw .timestampRange }
    return moment
  }

  private mutating func takeDate() throws(Mismatch) -> Int64 {
    let year = try takeNumber(digits: 4)
    try expect("-")
    let month = try takeNumber(digits: 2)
    try expect("-")
    let day = try takeNumber(digits: 2)
    guard month >= 1, month <= 12, day >= 1, day <= Moment.daysInMonth(year: year, month: month) else {
      throw .notTimestamp
    }
    return Moment.days(year: year, month: month, day: day)
  }

  private mutating func takeTimeOfDay() throws(Mismatch) -> Int {
    let hour = try takeNumber(digits: 2)
    try expect(":")
    let minute = try takeNumber(digits: 2)
    try expect(":")
    let second = try takeNumber(digits: 2)
    guard hour < 24, minute < 60, second < 60 else { throw .notTimestamp }
    return hour * 3600 + minute * 60 + second
  }

  /// Microseconds from one to six digits.
  private mutating func takeFraction() throws(Mismatch) -> Int {
    var value = 0
    var digits = 0
    while offset < text.count, text[offset] &- 0x30 < 10, digits < 6 {
      value = value * 10 + Int(text[offset] - 0x30)
      digits += 1
      offset += 1
    }
    guard digits > 0 else { throw .notTimestamp }
    for _ in digits..<6 { value *= 10 }
    return value
  }

  /// Seconds east of UTC.
  private mutating func takeZone() throws(Mismatch) -> Int {
    if take("Z") || take("z") { return 0 }
    let west = take("-")
    if !west { try expect("+") }
    let hour = try takeNumber(digits: 2)
    try expect(":")
    let minute = try takeNumber(digits: 2)
    guard hour < 24, minute < 60 else { throw .notTimestamp }
    return (west ? -1 : 1) * (hour * 3600 + minute * 60)
  }

  private mutating func takeNumber(digits: Int) throws(Mismatch) -> Int {
    guard offset + digits <= text.count else { throw .notTimestamp }
    var value = 0
    for _ in 0..<digits {
      guard text[offset] &- 0x30 < 10 else { throw .notTimestamp }
      value = value * 10 + Int(text[offset] - 0x30)
      offset += 1
    }
    return value
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard offset < text.count, text[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(Mismatch) {
    guard take(character) else { throw .notTimestamp }
  }
}
