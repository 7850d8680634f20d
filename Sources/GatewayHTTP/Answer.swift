import Domain
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Storage

/// Answers that went well.
enum Answer {
    /// What `SecurityHeaders` adds to all is not here.
    static let commonHeaders: HTTPFields = [.cacheControl: "no-store"]
    static let jsonHeaders: HTTPFields = [.contentType: "application/json", .cacheControl: "no-store"]

    /// One object, with what `build` writes between the braces.
    static func object(
        _ status: HTTPResponse.Status = .ok, location: String? = nil, capacity: Int = 512, _ build: (inout JSONWriter) -> Void
    ) -> Response {
        var writer = JSONWriter(capacity: capacity)
        writer.beginObject()
        build(&writer)
        writer.endObject()
        var headers = jsonHeaders
        if let location { headers[.location] = location }
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: writer.bytes)))
    }

    /// `{data, nextCursor}`.
    static func page<Item>(_ page: Page<Item>, _ write: (Item, inout JSONWriter) -> Void) -> Response {
        list(page.items, next: page.next, write)
    }

    static func list<Item>(_ items: [Item], next: String?, _ write: (Item, inout JSONWriter) -> Void) -> Response {
        object(capacity: 256 + items.count * 384) { writer in
            writer.key("data")
            writer.beginArray()
            for item in items {
                writer.beginObject()
                write(item, &writer)
                writer.endObject()
            }
            writer.endArray()
            writer.field("nextCursor", stringOrNull: next)
        }
    }

    static func noContent() -> Response { Response(status: .noContent, headers: commonHeaders) }

    static func text(_ text: String, contentType: String) -> Response {
        var headers = commonHeaders
        headers[.contentType] = contentType
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

extension JSONWriter {
    mutating func field(_ key: StaticString, time: Timestamp) {
        self.key(key)
        var text: [UInt8] = []
        text.reserveCapacity(26)
        text.append(UInt8(ascii: "\""))
        time.append(to: &text)
        text.append(UInt8(ascii: "\""))
        raw(bytes: text)
    }

    mutating func field(_ key: StaticString, timeIfPresent time: Timestamp?) {
        if let time { field(key, time: time) }
    }

    mutating func field(_ key: String, stringOrNull value: String?) {
        self.key(key)
        if let value { string(value) } else { null() }
    }

    mutating func field(_ key: String, strings: [String]) {
        self.key(key)
        beginArray()
        for text in strings { string(text) }
        endArray()
    }
}
