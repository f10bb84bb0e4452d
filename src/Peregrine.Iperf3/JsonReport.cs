// The same as JSON, field for field: one object at the end (-J), or an object a line as it goes (--json-stream).
using System.Net;
using System.Text.Json.Nodes;
using Peregrine.Core.Time;

namespace Peregrine.Iperf3;

internal sealed class JsonReport(Iperf3Options options, Iperf3Environment environment) : Report
{
    private JsonObject _start = [];
    private JsonArray _intervals = [];
    private JsonObject _end = [];
    private string? _title;
    private string? _extraData;

    // As iperf3's: a client knows its own title and what it added.
    internal override JsonNode Captured => Measured();

    internal override void Listening(int port, int number) => Clear();

    internal override void Connecting(Iperf3Options connecting)
    {
        Clear();
        (_title, _extraData) = (options.Test.Title, options.Test.ExtraData);
    }

    internal override void Connected(Iperf3Options connected, TestParameters parameters, string cookie, int controlMss, DateTimeOffset now)
    {
        NoteTime(now);
        _start["connecting_to"] = new JsonObject { ["host"] = options.Host, ["port"] = options.Port };
        NoteDetails(parameters, cookie, controlMss);
    }

    internal override void Accepted(TestParameters parameters, IPEndPoint? remote, string cookie, DateTimeOffset now)
    {
        (_title, _extraData) = (parameters.Title, parameters.ExtraData);
        NoteTime(now);
        _start["accepted_connection"] = new JsonObject { ["host"] = remote?.Address.ToString(), ["port"] = remote?.Port };
        NoteDetails(parameters, cookie, 0);
    }

    internal override void StreamConnected(TestStream stream) => ((JsonArray)_start["connected"]!).Add((JsonNode)new JsonObject
    {
        ["socket"] = stream.Number,
        ["local_host"] = stream.Local.Address.ToString(),
        ["local_port"] = stream.Local.Port,
        ["remote_host"] = stream.Remote.Address.ToString(),
        ["remote_port"] = stream.Remote.Port,
    });

    internal override void Started(Iperf3Test test)
    {
        var p = test.Parameters;
        var settings = test.Engine.Stack.Options;
        _start["sock_bufsize"] = p.Window;
        _start["sndbuf_actual"] = p.Window > 0 ? p.Window : p.Udp ? settings.Udp.ReceiveBufferSize : settings.Tcp.SendBufferBytes;
        _start["rcvbuf_actual"] = p.Window > 0 ? p.Window : p.Udp ? settings.Udp.ReceiveBufferSize : settings.Tcp.ReceiveBufferBytes;
        _start["test_start"] = new JsonObject
        {
            ["protocol"] = p.Udp ? "UDP" : "TCP",
            ["num_streams"] = p.Parallel,
            ["blksize"] = p.Length,
            ["omit"] = p.Omit,
            ["duration"] = p.Seconds,
            ["bytes"] = p.ByteCount,
            ["blocks"] = p.BlockCount,
            ["reverse"] = p.Reverse ? 1 : 0,
            ["tos"] = p.Tos,
            ["target_bitrate"] = (long)p.Bitrate,
        };
        Emit("start", _start);
    }

    internal override void Interval(Iperf3Test test, List<StreamInterval> intervals)
    {
        var streams = new JsonArray();
        foreach (var interval in intervals) streams.Add((JsonNode)StreamOf(test, interval));
        var json = new JsonObject { ["streams"] = streams, ["sum"] = SumOf(test, intervals.Take(test.Parameters.Parallel).ToList()) };
        if (test.Parameters.Bidirectional) json["sum_bidir_reverse"] = SumOf(test, intervals.Skip(test.Parameters.Parallel).ToList());
        if (options.JsonStream) Emit("interval", json);
        if (!options.JsonStream || options.JsonStreamFull) _intervals.Add((JsonNode)json);
    }

    internal override void Summary(Iperf3Test test) => JsonSummary.Write(_end, test);

    internal override void Done(Iperf3Test test) => Write(test, null);

    internal override void ServerDone(Iperf3Test test) => Write(test, null);

    internal override void Failed(string kind, string text, Iperf3Test? test) => Write(test, kind is "" or "error" ? text : $"{kind} - {text}");

    private static JsonObject StreamOf(Iperf3Test test, in StreamInterval interval)
    {
        var json = Amounts(new JsonObject { ["socket"] = interval.Stream.Number }, interval.Start, interval.End, interval.Bytes);
        if (test.Parameters.Udp)
        {
            AddPackets(json, interval.Stream.IsSender, interval.JitterSeconds, interval.Lost, interval.Packets);
        }
        else if (interval.Stream.IsSender)
        {
            var tcp = interval.Tcp;
            json["retransmits"] = interval.Retransmits;
            json["snd_cwnd"] = tcp.CongestionWindow;
            json["snd_wnd"] = tcp.SendWindow;
            json["rtt"] = tcp.SmoothedRtt.Microseconds;
            json["rttvar"] = tcp.RttVariation.Microseconds;
            // The largest packet that the path is taken to carry: payload, TCP's header with its options, IP's.
            json["pmtu"] = tcp.SendMss + (tcp.Timestamps ? 32 : 20) + (tcp.Remote.Address.IsIPv4 ? 20 : 40);
        }
        json["omitted"] = interval.IsOmitted;
        json["sender"] = interval.Stream.IsSender;
        return json;
    }

    private static JsonObject SumOf(Iperf3Test test, List<StreamInterval> intervals)
    {
        var first = intervals[0];
        var json = Amounts([], first.Start, first.End, intervals.Sum(static i => i.Bytes));
        if (test.Parameters.Udp)
            AddPackets(json, first.Stream.IsSender, intervals.Average(static i => i.JitterSeconds), intervals.Sum(static i => i.Lost), intervals.Sum(static i => i.Packets));
        else if (first.Stream.IsSender)
            json["retransmits"] = intervals.Sum(static i => i.Retransmits);
        json["omitted"] = first.IsOmitted;
        json["sender"] = first.Stream.IsSender;
        return json;
    }

    private static void AddPackets(JsonObject json, bool isSender, double jitterSeconds, long lost, long packets)
    {
        if (isSender)
        {
            json["packets"] = packets;
            return;
        }
        json["jitter_ms"] = jitterSeconds * 1e3;
        json["lost_packets"] = lost;
        json["packets"] = packets;
        json["lost_percent"] = packets > 0 ? 100.0 * lost / packets : 0;
    }

    internal static JsonObject Amounts(JsonObject json, double start, double end, long bytes, double? seconds = null)
    {
        json["start"] = start;
        json["end"] = end;
        json["seconds"] = seconds ?? (end - start);
        json["bytes"] = bytes;
        json["bits_per_second"] = end > start ? bytes * 8 / (end - start) : 0;
        return json;
    }

    private void Clear()
    {
        _start = new JsonObject { ["connected"] = new JsonArray(), ["version"] = Version, ["system_info"] = environment.SystemName };
        (_intervals, _end, _title, _extraData) = ([], [], null, null);
    }

    private void NoteTime(DateTimeOffset now) => _start["timestamp"] = new JsonObject
    {
        ["time"] = now.ToUniversalTime().ToString("ddd, dd MMM yyyy HH:mm:ss 'GMT'", System.Globalization.CultureInfo.InvariantCulture),
        ["timesecs"] = now.ToUnixTimeSeconds(),
    };

    private void NoteDetails(TestParameters parameters, string cookie, int controlMss)
    {
        _start["cookie"] = cookie;
        if (!parameters.Udp)
        {
            if (parameters.Mss > 0) _start["tcp_mss"] = parameters.Mss;
            else _start["tcp_mss_default"] = controlMss;
        }
        _start["target_bitrate"] = (long)parameters.Bitrate;
    }

    private JsonObject Measured() => new() { ["start"] = _start.DeepClone(), ["intervals"] = _intervals.DeepClone(), ["end"] = _end.DeepClone() };

    private JsonObject Whole(string? error, JsonNode? serverOutput)
    {
        var whole = Measured();
        if (_title != null) whole["title"] = _title;
        if (_extraData != null) whole["extra_data"] = _extraData;
        if (serverOutput != null) whole[serverOutput is JsonObject ? "server_output_json" : "server_output_text"] = serverOutput.DeepClone();
        if (error != null) whole["error"] = error;
        return whole;
    }

    private void Write(Iperf3Test? test, string? error)
    {
        if (_start.Count == 0) Clear();
        if (options.JsonStream)
        {
            if (test?.ServerOutput is { } output) Emit(output is JsonObject ? "server_output_json" : "server_output_text", output);
            if (error != null) Emit("error", JsonValue.Create(error)!);
            Emit("end", _end);
            if (!options.JsonStreamFull)
            {
                environment.Output.Flush();
                return;
            }
        }
        environment.Output.Write(JsonText.Print(Whole(error, test?.ServerOutput)) + "\n");
        environment.Output.Flush();
    }

    private void Emit(string name, JsonNode data)
    {
        if (!options.JsonStream) return;
        environment.Output.Write(JsonText.PrintOneLine(new JsonObject { ["event"] = name, ["data"] = data.DeepClone() }) + "\n");
        environment.Output.Flush();
    }
}
