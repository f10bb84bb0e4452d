// A report as JSON, so that shards on many machines can be added up. Written and read by hand: no reflection, so that it survives trimming.
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Peregrine.Simulation.Swarm;

internal static class SwarmJson
{
    public static string Write(SwarmReport report)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteNumber("version", 1);
            json.WriteNumber("first", report.First);
            json.WriteNumber("seeds", report.Done);
            json.WriteNumber("twice", report.Twice);
            json.WriteNumber("seconds", Math.Round(report.Seconds, 3));
            json.WriteStartArray("failures");
            foreach (var finding in report.Failures)
            {
                json.WriteStartObject();
                json.WriteNumber("seed", finding.Seed);
                json.WriteString("judge", finding.Judge);
                json.WriteString("message", finding.Message);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteStartObject("counters");
            foreach (var (name, count) in report.Counters) json.WriteNumber(name, count);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="FormatException">It is something else; the message says what is missing.</exception>
    public static SwarmReport Read(string text, string name)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            var root = document.RootElement;
            if (root.GetProperty("version").GetInt32() != 1) throw new FormatException($"{name} is of another version; merge it by the tool that wrote it.");
            var report = new SwarmReport
            {
                First = root.GetProperty("first").GetUInt64(), Done = root.GetProperty("seeds").GetInt64(),
                Twice = root.GetProperty("twice").GetInt64(), Seconds = root.GetProperty("seconds").GetDouble(),
            };
            foreach (var finding in root.GetProperty("failures").EnumerateArray())
                report.Failures.Add(new SwarmFinding(finding.GetProperty("seed").GetUInt64(), finding.GetProperty("judge").GetString()!, finding.GetProperty("message").GetString()!));
            foreach (var counter in root.GetProperty("counters").EnumerateObject()) report.Counters[counter.Name] = counter.Value.GetInt64();
            return report;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"{name} is no result of 'peregrine simulate --json': {e.Message}"), e);
        }
    }
}
