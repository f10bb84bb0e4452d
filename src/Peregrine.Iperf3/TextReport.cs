// iperf3's lines, column by column: widths, spaces at the ends and all were read off iperf3 3.12's own output.
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace Peregrine.Iperf3;

internal sealed class TextReport(Iperf3Options options, Iperf3Environment environment) : Report
{
    private const string Dashes = "-----------------------------------------------------------";
    private const string Separator = "- - - - - - - - - - - - - - - - - - - - - - - - -";

    private StringBuilder? _capture;
    private bool _hasHeader;
    private string _title = "";

    internal override JsonNode? Captured => _capture?.ToString();

    internal override void Listening(int port, int number)
    {
        if (options.Verbose && number == 1) Preamble();
        Line(Dashes);
        Line(string.Create(CultureInfo.InvariantCulture, $"Server listening on {port} (test #{number})"));
        Line(Dashes);
        (_capture, _hasHeader) = (null, false);
    }

    internal override void Connecting(Iperf3Options connecting)
    {
        _title = options.Test.Title == null ? "" : options.Test.Title + ":  ";
        if (options.Verbose) Preamble();
    }

    internal override void Connected(Iperf3Options connected, TestParameters parameters, string cookie, int controlMss, DateTimeOffset now)
    {
        if (options.Verbose)
        {
            Line($"Control connection MSS {controlMss}");
            if (parameters.Udp && options.Test.Length == 0) Line($"Setting UDP block size to {parameters.Length}");
            Line("Time: " + Time(now));
        }
        Line($"Connecting to host {options.Host}, port {options.Port}");
        if (parameters.Reverse) Line($"Reverse mode, remote host {options.Host} is sending");
        if (options.Verbose) Details(parameters, cookie, controlMss);
    }

    internal override void Accepted(TestParameters parameters, IPEndPoint? remote, string cookie, DateTimeOffset now)
    {
        if (parameters.GetServerOutput) _capture = new StringBuilder();
        if (options.Verbose) Line("Time: " + Time(now));
        Line($"Accepted connection from {remote?.Address}, port {remote?.Port}");
        if (options.Verbose) Details(parameters, cookie, 0);
    }

    internal override void StreamConnected(TestStream stream) => Line(
        $"[{stream.Number,3}] local {stream.Local.Address} port {stream.Local.Port} connected to {stream.Remote.Address} port {stream.Remote.Port}");

    internal override void Started(Iperf3Test test)
    {
        if (!options.Verbose) return;
        var p = test.Parameters;
        var end = p.BlockCount > 0 ? $"{p.BlockCount} blocks to send" : p.ByteCount > 0 ? $"{p.ByteCount} bytes to send" : $"{p.Seconds} second test";
        Line($"Starting Test: protocol: {(p.Udp ? "UDP" : "TCP")}, {p.Parallel} streams, {p.Length} byte blocks, omitting {p.Omit} seconds, {end}, tos {p.Tos}");
    }

    internal override void Interval(Iperf3Test test, List<StreamInterval> intervals)
    {
        if (!_hasHeader) Line(IntervalHeader(test));
        else if (test.Parameters.Parallel > 1) Line(Separator);
        _hasHeader = true;
        foreach (var group in intervals.Chunk(test.Parameters.Parallel))
        {
            foreach (var interval in group) Line($"[{interval.Stream.Number,3}]{Role(test, interval.Stream)} " + Columns(test, interval));
            if (group.Length == 1) continue;
            var sum = group[0] with
            {
                Bytes = group.Sum(static i => i.Bytes), Retransmits = group.Sum(static i => i.Retransmits), Packets = group.Sum(static i => i.Packets),
                Lost = group.Sum(static i => i.Lost), JitterSeconds = group.Average(static i => i.JitterSeconds),
            };
            Line($"[SUM]{Role(test, sum.Stream)} " + Columns(test, sum, isSum: true));
        }
        if (options.ForceFlush) environment.Output.Flush();
    }

    internal override void Summary(Iperf3Test test)
    {
        Line(Separator);
        if (options.Verbose) Line("Test Complete. Summary Results:");
        var id = test.Parameters.Bidirectional ? "[ ID][Role] Interval           Transfer     Bitrate" : "[ ID] Interval           Transfer     Bitrate";
        Line(id + (test.Parameters.Udp ? "         Jitter    Lost/Total Datagrams" : test.HasSender || test.RemoteHasRetransmits ? "         Retr" : ""));
        foreach (var group in test.Streams.Chunk(test.Parameters.Parallel))
        {
            foreach (var stream in group) Rows($"[{stream.Number,3}]{Role(test, stream)} ", test, [stream]);
            if (group.Length > 1) Rows($"[SUM]{Role(test, group[0])} ", test, group);
        }
        if (options.Verbose) Processors(test);
        _hasHeader = false;
    }

    internal override void Done(Iperf3Test test)
    {
        if (test.ServerOutput is { } output)
        {
            Line("");
            Line("Server output:");
            environment.Output.Write(output is JsonValue text ? text.ToString() : JsonText.Print(output) + "\n");
        }
        Line("");
        Line("iperf Done.");
        environment.Output.Flush();
    }

    internal override void ServerDone(Iperf3Test test) => environment.Output.Flush();

    internal override void Failed(string kind, string text, Iperf3Test? test)
    {
        environment.Output.Flush();
        environment.Errors.WriteLine(kind.Length == 0 ? "iperf3: " + text : $"iperf3: {kind} - {text}");
        environment.Errors.Flush();
    }

    private static string IntervalHeader(Iperf3Test test)
    {
        var id = test.Parameters.Bidirectional ? "[ ID][Role]" : "[ ID]";
        var columns = test.Parameters.Udp
            ? test.HasReceiver ? "         Jitter    Lost/Total Datagrams" : "         Total Datagrams"
            : test.HasSender ? "         Retr  Cwnd" : "";
        return id + " Interval           Transfer     Bitrate" + columns;
    }

    private static string Role(Iperf3Test test, TestStream stream) =>
        !test.Parameters.Bidirectional ? "" : $"[{(stream.IsSender ? "TX" : "RX")}-{(test.IsServer ? "S" : "C")}]";

    private static string Time(DateTimeOffset now) => now.ToUniversalTime().ToString("ddd, dd MMM yyyy HH:mm:ss 'GMT'", CultureInfo.InvariantCulture);

    private static string Loss(double jitterSeconds, long lost, long packets) => string.Create(CultureInfo.InvariantCulture,
        $"{(jitterSeconds * 1e3).ToString("F3", CultureInfo.InvariantCulture),5} ms  {lost}/{packets} ({Units.TwoDigits(packets > 0 ? 100.0 * lost / packets : 0)}%)");

    private string Span(double start, double end, long bytes) => string.Create(CultureInfo.InvariantCulture,
        $"{start,6:F2}-{end,-6:F2} sec  {Units.Bytes(bytes)}  {Units.Rate(end > start ? bytes / (end - start) : 0, options.Format)}/sec  ");

    private string Columns(Iperf3Test test, in StreamInterval interval, bool isSum = false)
    {
        var omitted = interval.IsOmitted ? "(omitted)" : "";
        var span = Span(interval.Start, interval.End, interval.Bytes);
        if (!test.Parameters.Udp)
        {
            if (!interval.Stream.IsSender) return span + "                " + omitted;
            var window = isSum ? "             " : $"   {Units.Bytes(interval.Tcp.CongestionWindow)}       ";
            return string.Create(CultureInfo.InvariantCulture, $"{span}{interval.Retransmits,3}{window}{omitted}");
        }
        if (!interval.Stream.IsSender) return span + Loss(interval.JitterSeconds, interval.Lost, interval.Packets) + "  " + omitted;
        return span + (test.Parameters.Bidirectional ? "          " : "") + interval.Packets.ToString(CultureInfo.InvariantCulture) + "  " + omitted;
    }

    /// <summary>The sender's and the receiver's row of streams that are told together.</summary>
    private void Rows(string head, Iperf3Test test, TestStream[] streams)
    {
        var sends = streams[0].IsSender;
        double remoteEnd = streams[0].Result?.EndTime ?? test.Seconds;
        var isKnown = !test.IsServer;
        if (sends || isKnown) Line(head + SenderRow(test, streams, sends ? test.Seconds : remoteEnd));
        else if (options.Verbose) Line(head + "(sender statistics not available)");
        if (!sends || isKnown) Line(head + ReceiverRow(test, streams, sends ? remoteEnd : test.Seconds));
        else if (options.Verbose) Line(head + "(receiver statistics not available)");
    }

    private string SenderRow(Iperf3Test test, TestStream[] streams, double end)
    {
        var own = streams[0].IsSender;
        var span = Span(0, end, streams.Sum(s => own ? s.Bytes : s.Result?.Bytes ?? 0));
        if (test.Parameters.Udp) return span + Loss(0, 0, streams.Sum(s => own ? s.Packets : s.Result?.Packets ?? 0)) + "  sender";
        if (!own && !test.RemoteHasRetransmits) return span + "                sender";
        return string.Create(CultureInfo.InvariantCulture, $"{span}{streams.Sum(s => own ? s.Retransmits : s.Result?.Retransmits ?? 0),3}             sender");
    }

    private string ReceiverRow(Iperf3Test test, TestStream[] streams, double end)
    {
        var own = !streams[0].IsSender;
        var span = Span(0, end, streams.Sum(s => own ? s.Bytes : s.Result?.Bytes ?? 0));
        if (!test.Parameters.Udp) return span + "                receiver";
        var jitter = streams.Average(s => own ? s.JitterSeconds : s.Result?.JitterSeconds ?? 0);
        return span + Loss(jitter, streams.Sum(s => own ? s.Lost : s.Result?.Lost ?? 0), streams.Sum(s => own ? s.Packets : s.Result?.Packets ?? 0)) + "  receiver";
    }

    private void Processors(Iperf3Test test)
    {
        if (test.HasSender)
        {
            var (l, r) = (test.Processor, test.RemoteProcessor);
            Line(string.Create(CultureInfo.InvariantCulture,
                $"CPU Utilization: local/sender {l.Total:F1}% ({l.User:F1}%u/{l.System:F1}%s), remote/receiver {r.Total:F1}% ({r.User:F1}%u/{r.System:F1}%s)"));
        }
        if (test.Congestion is not { } own) return;
        if (test.HasSender) Line("snd_tcp_congestion " + own);
        else if (test.RemoteCongestion is { } theirs) Line("snd_tcp_congestion " + theirs);
        if (!test.HasSender) Line("rcv_tcp_congestion " + own);
        else if (test.RemoteCongestion is { } theirs) Line("rcv_tcp_congestion " + theirs);
    }

    private void Preamble()
    {
        Line(Version);
        Line(environment.SystemName);
    }

    private void Details(TestParameters parameters, string cookie, int controlMss)
    {
        Line("      Cookie: " + cookie);
        if (!parameters.Udp) Line("      TCP MSS: " + (parameters.Mss > 0 ? parameters.Mss.ToString(CultureInfo.InvariantCulture) : $"{controlMss} (default)"));
        if (parameters.Bitrate > 0) Line(string.Create(CultureInfo.InvariantCulture, $"      Target Bitrate: {(long)parameters.Bitrate}"));
    }

    private void Line(string text)
    {
        _capture?.Append(text).Append('\n');
        if (options.Timestamps != null) environment.Output.Write(TimeFormat.Print(options.Timestamps, environment.Time.GetLocalNow()));
        environment.Output.Write(_title);
        environment.Output.Write(text);
        environment.Output.Write('\n');
    }
}
