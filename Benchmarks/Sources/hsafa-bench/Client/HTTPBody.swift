import Glibc

/// The parts of HTTP/1.1 that the gateway's answers use: a head, then a body by length or in chunks (RFC 9112 §6, §7.1).
struct HTTPBody {
    enum Framing {
        case length(Int)
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case done
    }

    private(set) var status = 0
    private var head: [UInt8]? = []
    private var line: [UInt8] = []
    private var framing = Framing.done
    var isDone: Bool { if head == nil, case .done = framing { true } else { false } }

    /// Gives the body's bytes to `take`, as they come.
    mutating func read(_ bytes: UnsafeRawBufferPointer, _ take: (UnsafeRawBufferPointer) -> Void) throws {
        var position = 0
        if head != nil {
            guard let end = try readHead(bytes) else { return }
            position = end
        }
        while position < bytes.count {
            switch framing {
            case .done: return
            case .length(let left), .chunk(let left):
                let count = min(left, bytes.count - position)
                take(UnsafeRawBufferPointer(rebasing: bytes[position..<position + count]))
                position += count
                if case .length = framing {
                    framing = left == count ? .done : .length(left - count)
                } else {
                    framing = left == count ? .chunkEnd : .chunk(left - count)
                }
            case .chunkSize, .chunkEnd:
                let byte = bytes[position]
                position += 1
                guard byte == 10 else {
                    if byte != 13 { line.append(byte) }
                    continue
                }
                if case .chunkEnd = framing {
                    framing = .chunkSize
                } else {
                    guard let size = Int(String(decoding: line, as: UTF8.self), radix: 16) else { throw BenchError("a bad chunk size") }
                    framing = size == 0 ? .done : .chunk(size)
                }
                line.removeAll(keepingCapacity: true)
            }
        }
    }

    /// The position of the body in `bytes`, once the head is complete.
    private mutating func readHead(_ bytes: UnsafeRawBufferPointer) throws -> Int? {
        var text = head ?? []
        for (index, byte) in bytes.enumerated() {
            text.append(byte)
            guard byte == 10, text.suffix(4) == [13, 10, 13, 10] else { continue }
            try setFraming(String(decoding: text, as: UTF8.self))
            head = nil
            return index + 1
        }
        head = text
        return nil
    }

    private mutating func setFraming(_ head: String) throws {
        let lines = head.split(separator: "\r\n")
        guard let code = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw BenchError("no HTTP: \(head)")
        }
        status = code
        for line in lines.dropFirst() {
            let lower = line.lowercased()
            if lower.hasPrefix("transfer-encoding:"), lower.hasSuffix("chunked") { framing = .chunkSize }
            if lower.hasPrefix("content-length:"), let length = Int(lower.dropFirst(15).drop { $0 == " " }), length > 0 {
                framing = .length(length)
            }
        }
    }
}
