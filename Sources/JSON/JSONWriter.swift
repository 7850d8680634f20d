/// Writes JSON in one stream of bytes; sets the commas by itself. The caller balances what it begins and ends.
public struct JSONWriter: Sendable {
    public var bytes: [UInt8]
    /// True after a complete value, where a comma must precede the next.
    private var needsComma = false

    public init(capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    public mutating func beginObject() { open(Byte.openBrace) }
    public mutating func endObject() { close(Byte.closeBrace) }
    public mutating func beginArray() { open(Byte.openBracket) }
    public mutating func endArray() { close(Byte.closeBracket) }

    public mutating func key(_ key: StaticString) {
        separate()
        key.withUTF8Buffer { Self.appendEscaped($0, into: &bytes) }
        bytes.append(Byte.colon)
        needsComma = false
    }

    public mutating func key(_ key: String) {
        separate()
        Self.appendEscaped(key, into: &bytes)
        bytes.append(Byte.colon)
        needsComma = false
    }

    public mutating func string(_ value: String) {
        separate()
        Self.appendEscaped(value, into: &bytes)
    }

    public mutating func int(_ value: Int) {
        separate()
        NumberText.append(Int64(value), into: &bytes)
    }

    public mutating func int(_ value: some BinaryInteger) {
        separate()
        if let value = Int64(exactly: value) {
            NumberText.append(value, into: &bytes)
        } else {
            bytes.append(contentsOf: value.description.utf8)
        }
    }

    /// The shortest digits that read back as the same double, laid out as ECMAScript does; null for what JSON cannot say (NaN, ∞).
    public mutating func double(_ value: Double) {
        guard value.isFinite else { return null() }
        separate()
        NumberText.appendShortest(value, into: &bytes)
    }

    public mutating func bool(_ value: Bool) { literal(value ? "true" : "false") }
    public mutating func null() { literal("null") }
    public mutating func raw(_ json: RawJSON) { raw(bytes: json.bytes) }

    /// One complete value; the caller vouches for it.
    public mutating func raw(bytes value: some Collection<UInt8>) {
        separate()
        bytes.append(contentsOf: value)
    }

    private mutating func literal(_ text: StaticString) {
        separate()
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    @inline(__always)
    private mutating func separate() {
        if needsComma { bytes.append(Byte.comma) }
        needsComma = true
    }

    private mutating func open(_ byte: UInt8) {
        separate()
        bytes.append(byte)
        needsComma = false
    }

    private mutating func close(_ byte: UInt8) {
        bytes.append(byte)
        needsComma = true
    }
}

extension JSONWriter {
    public mutating func field(_ key: String, string value: String) {
        self.key(key)
        string(value)
    }

    /// Nothing at all when the value is nil.
    public mutating func field(_ key: String, stringIfPresent value: String?) {
        if let value { field(key, string: value) }
    }

    public mutating func field(_ key: String, int value: Int) {
        self.key(key)
        int(value)
    }

    public mutating func field(_ key: String, int value: some BinaryInteger) {
        self.key(key)
        int(value)
    }

    public mutating func field(_ key: String, intIfPresent value: Int?) {
        if let value { field(key, int: value) }
    }

    public mutating func field(_ key: String, double value: Double) {
        self.key(key)
        double(value)
    }

    public mutating func field(_ key: String, bool value: Bool) {
        self.key(key)
        bool(value)
    }

    public mutating func field(_ key: String, raw value: RawJSON) {
        self.key(key)
        raw(value)
    }

    public mutating func field(_ key: String, rawIfPresent value: RawJSON?) {
        if let value { field(key, raw: value) }
    }
}
