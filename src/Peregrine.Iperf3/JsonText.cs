// JSON as iperf3 prints it (tabs, objects of an array beside one another), and reading numbers that it spells in its own way.
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Peregrine.Iperf3;

internal static class JsonText
{
    private static readonly JsonSerializerOptions s_oneLine = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Nesting that is read at most.</summary>
    private static readonly JsonDocumentOptions s_reading = new() { MaxDepth = 32 };

    /// <summary>On several lines.</summary>
    internal static string Print(JsonNode node)
    {
        var text = new StringBuilder();
        Print(text, node, 0);
        return text.ToString();
    }

    /// <summary>On one line.</summary>
    internal static string PrintOneLine(JsonNode node) => node.ToJsonString(s_oneLine);

    /// <summary>Reads an object. Null for anything else, or for what is no JSON.</summary>
    internal static JsonObject? TryRead(ReadOnlySpan<byte> utf8)
    {
        try
        {
            var reader = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = s_reading.MaxDepth });
            using var document = JsonDocument.ParseValue(ref reader);
            return ToNode(document.RootElement) as JsonObject;
        }
        catch (Exception e) when (e is JsonException or ArgumentException or InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>A number, whole or not; what is no number or missing is the default. 64-bit minus ones printed as unsigned are -1.</summary>
    internal static long Long(JsonObject? from, string name, long otherwise = 0) => Number(from, name) switch
    {
        null => otherwise,
        >= 9.2e18 => -1,
        <= -9.2e18 => otherwise,
        { } value => (long)value,
    };

    internal static double? Number(JsonObject? from, string name)
    {
        if (from == null || !from.TryGetPropertyValue(name, out var node) || node is not JsonValue value) return null;
        return value.GetValueKind() switch
        {
            JsonValueKind.Number when value.TryGetValue<double>(out var number) && double.IsFinite(number) => number,
            JsonValueKind.True => 1,
            JsonValueKind.False => 0,
            _ => null,
        };
    }

    internal static string? Text(JsonObject from, string name) =>
        from.TryGetPropertyValue(name, out var node) && node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    /// <summary>iperf3's own JSON has names twice (the buffers' sizes, once a stream), which nodes refuse: here the last one counts.</summary>
    private static JsonNode? ToNode(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var members = new JsonObject();
                foreach (var member in element.EnumerateObject()) members[member.Name] = ToNode(member.Value);
                return members;
            case JsonValueKind.Array:
                var items = new JsonArray();
                foreach (var item in element.EnumerateArray()) items.Add(ToNode(item));
                return items;
            default:
                return JsonValue.Create(element.Clone());
        }
    }

    private static void Print(StringBuilder text, JsonNode? node, int depth)
    {
        switch (node)
        {
            case JsonObject members:
                text.Append("{\n");
                var first = true;
                foreach (var (name, value) in members)
                {
                    if (!first) text.Append(",\n");
                    first = false;
                    text.Append('\t', depth + 1).Append(JsonValue.Create(name)!.ToJsonString(s_oneLine)).Append(":\t");
                    Print(text, value, depth + 1);
                }
                if (!first) text.Append('\n');
                text.Append('\t', depth).Append('}');
                break;
            case JsonArray items:
                text.Append('[');
                for (var i = 0; i < items.Count; i++)
                {
                    if (i > 0) text.Append(", ");
                    Print(text, items[i], depth + 1);
                }
                text.Append(']');
                break;
            case JsonValue value when value.TryGetValue<double>(out var number):
                text.Append(number.ToString("R", CultureInfo.InvariantCulture).Replace("E", "e", StringComparison.Ordinal));
                break;
            default:
                text.Append(node?.ToJsonString(s_oneLine) ?? "null");
                break;
        }
    }
}
