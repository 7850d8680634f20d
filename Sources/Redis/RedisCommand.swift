public import NIOCore

/// One command, its name and arguments already encoded as RESP bulk strings (binary-safe).
public struct RedisCommand: Sendable {
    private var encoded: ByteBuffer
    private var count = 0

    public init(_ name: StaticString) {
        encoded = ByteBufferAllocator().buffer(capacity: 128)
        name.withUTF8Buffer { appendBulk(UnsafeRawBufferPointer($0)) }
    }

    public init(_ name: StaticString, _ arguments: String...) {
        self.init(name)
        for argument in arguments { append(argument) }
    }

    public mutating func append(_ argument: String) {
        var argument = argument
        argument.withUTF8 { appendBulk(UnsafeRawBufferPointer($0)) }
    }

    public mutating func append(_ argument: [UInt8]) {
        argument.withUnsafeBytes { appendBulk($0) }
    }

    public mutating func append(_ argument: ByteBuffer) {
        argument.withUnsafeReadableBytes { appendBulk($0) }
    }

    public mutating func append(_ argument: some BinaryInteger) {
        append(String(argument))
    }

    /// An upper bound of the bytes that `write(into:)` adds.
    var byteCount: Int { encoded.readableBytes + RESP.headerBytes }

    func write(into buffer: inout ByteBuffer) {
        encoded.withUnsafeReadableBytes { arguments in
            _ = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: arguments.count + RESP.headerBytes) { target in
                let header = RESP.writeHeader("*", count, to: target)
                UnsafeMutableRawBufferPointer(rebasing: target[header...]).copyMemory(from: arguments)
                return header + arguments.count
            }
        }
    }

    private mutating func appendBulk(_ bytes: UnsafeRawBufferPointer) {
        count += 1
        encoded.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count + RESP.headerBytes + 2) { target in
            let header = RESP.writeHeader("$", bytes.count, to: target)
            UnsafeMutableRawBufferPointer(rebasing: target[header...]).copyMemory(from: bytes)
            let end = header + bytes.count
            target[end] = UInt8(ascii: "\r")
            target[end + 1] = UInt8(ascii: "\n")
            return end + 2
        }
    }
}

/// RESP by hand into raw memory: `ByteBuffer`'s writes of single integers took a tenth of the client's time.
enum RESP {
    /// Kind, up to 19 digits, CR LF.
    static let headerBytes = 22

    /// `$12\r\n` or `*3\r\n`; returns its length. `target` has room for `headerBytes`.
    static func writeHeader(_ kind: Unicode.Scalar, _ number: Int, to target: UnsafeMutableRawBufferPointer) -> Int {
        var digits = 1
        var bound = 10
        while number >= bound, digits < 18 {
            digits += 1
            bound *= 10
        }
        target[0] = UInt8(truncatingIfNeeded: kind.value)
        var rest = number
        for at in stride(from: digits, to: 0, by: -1) {
            target[at] = UInt8(48 + rest % 10)
            rest /= 10
        }
        target[digits + 1] = UInt8(ascii: "\r")
        target[digits + 2] = UInt8(ascii: "\n")
        return digits + 3
    }
}
