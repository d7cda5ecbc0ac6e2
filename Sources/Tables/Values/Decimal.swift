/// A decimal number of at most 38 digits: coefficient × 10^-scale, with 0 ≤ scale ≤ 38 and |coefficient| < 10^38.
///
/// Always normalised: a coefficient with a scale above zero does not end in a zero, and zero has scale 0. So equal
/// numbers have equal bytes. `1.50`, `+1.5` and `15e-1` are the same value and print as `1.5`.
package struct Decimal: Hashable, Sendable {
  package let coefficient: Int128
  package let scale: UInt8

  static let cellBytes = 17
  static let digitsMax = TableLimits.decimalDigitsMax
  static let coefficientLimit = powerOfTen(38)

  private init(magnitude: UInt128, negative: Bool, scale: Int) {
    coefficient = negative ? -Int128(magnitude) : Int128(magnitude)
    self.scale = UInt8(scale)
  }

  static func powerOfTen(_ exponent: Int) -> UInt128 {
    var result: UInt128 = 1
    for _ in 0..<exponent { result *= 10 }
    return result
  }

  /// The normalised number magnitude × 10^exponent. The magnitude must not end in a zero unless it is zero.
  static func make(magnitude: UInt128, negative: Bool, exponent: Int, digits: Int) throws(Mismatch) -> Decimal {
    if magnitude == 0 { return Decimal(magnitude: 0, negative: false, scale: 0) }
    if exponent < 0 {
      guard exponent >= -digitsMax else { throw .decimalDigits }
      return Decimal(magnitude: magnitude, negative: negative, scale: -exponent)
    }
    guard digits + exponent <= digitsMax else { throw .decimalDigits }
    return Decimal(magnitude: magnitude * powerOfTen(exponent), negative: negative, scale: 0)
  }

  /// Reads `[+-]digits[.digits][e[+-]digits]`.
  static func parse(_ text: UnsafeRawBufferPointer) throws(Mismatch) -> Decimal {
    var parser = DecimalParser(text: text)
    return try parser.parse()
  }

  package init?(_ text: String) {
    var copy = text
    let parsed = copy.withUTF8 { utf8 -> Decimal? in
      do throws(Mismatch) { return try Decimal.parse(UnsafeRawBufferPointer(utf8)) } catch { return nil }
    }
    guard let parsed else { return nil }
    self = parsed
  }

  /// 16 bytes of coefficient (two's complement, little-endian), one of scale.
  func appendCell(to out: inout [UInt8]) {
    withUnsafeBytes(of: coefficient.littleEndian) { out.append(contentsOf: $0) }
    out.append(scale)
  }

  /// Reads a cell; nil when the bytes are no normalised decimal.
  init?(cell: UnsafeRawBufferPointer) {
    guard cell.count == Decimal.cellBytes else { return nil }
    coefficient = Int128(littleEndian: cell.loadUnaligned(as: Int128.self))
    scale = cell[16]
    guard scale <= Decimal.digitsMax, coefficient.magnitude < Decimal.coefficientLimit else { return nil }
    if scale > 0, coefficient % 10 == 0 { return nil }
  }

  /// The digits of the coefficient, most significant first, at the end of `buffer`; returns how many. Zero has none.
  func digits(_ buffer: inout InlineArray<40, UInt8>) -> Int {
    var rest = coefficient.magnitude
    var count = 0
    while rest > 0 {
      let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 10)
      count += 1
      buffer[40 - count] = UInt8(remainder)
      rest = quotient
    }
    return count
  }

  /// Plain notation without exponent: `-0.05`, `1200`.
  func appendText(to out: inout [UInt8]) {
    var buffer = InlineArray<40, UInt8>(repeating: 0)
    let count = max(digits(&buffer), Int(scale) + 1)
    if coefficient < 0 { out.append(UInt8(ascii: "-")) }
    for position in (1...count).reversed() {
      out.append(UInt8(ascii: "0") + buffer[40 - position])
      if position == Int(scale) + 1, scale > 0 { out.append(UInt8(ascii: ".")) }
    }
  }
}

/// Reads one decimal from text. Zeros are held back until a digit follows them, so that none trails.
private struct DecimalParser {
  let text: UnsafeRawBufferPointer
  var offset = 0
  var magnitude: UInt128 = 0
  var digits = 0
  var zerosHeld = 0
  var digitsSeen = 0

  init(text: UnsafeRawBufferPointer) { self.text = text }

  mutating func parse() throws(Mismatch) -> Decimal {
    let negative = take("-")
    if !negative { _ = take("+") }
    _ = try takeDigits()
    let fraction = take(".") ? try takeDigits() : 0
    guard digitsSeen > 0 else { throw .notDecimal }
    var exponent = zerosHeld - fraction
    if take("e") || take("E") { exponent += try takeExponent() }
    guard offset == text.count else { throw .notDecimal }
    return try Decimal.make(magnitude: magnitude, negative: negative, exponent: exponent, digits: digits)
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard offset < text.count, text[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func takeDigits() throws(Mismatch) -> Int {
    let start = offset
    while offset < text.count, text[offset] &- 0x30 < 10 {
      try add(text[offset] - 0x30)
      offset += 1
    }
    return offset - start
  }

  private mutating func add(_ digit: UInt8) throws(Mismatch) {
    digitsSeen += 1
    if digit == 0 {
      if magnitude != 0 { zerosHeld += 1 }
      return
    }
    let shift = magnitude == 0 ? 1 : zerosHeld + 1
    digits += shift
    guard digits <= Decimal.digitsMax else { throw .decimalDigits }
    magnitude = magnitude * Decimal.powerOfTen(shift) + UInt128(digit)
    zerosHeld = 0
  }

  private mutating func takeExponent() throws(Mismatch) -> Int {
    let negative = take("-")
    if !negative { _ = take("+") }
    let start = offset
    var value = 0
    while offset < text.count, text[offset] &- 0x30 < 10 {
      value = min(value * 10 + Int(text[offset] - 0x30), 1_000_000)
      offset += 1
    }
    guard offset > start else { throw .notDecimal }
    return negative ? -value : value
  }
}
