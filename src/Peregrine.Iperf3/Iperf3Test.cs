// One test as both sides run it: its streams, its clock, when a sender may go on, and what comes out in the end. How it is agreed upon
// with the peer is in Iperf3Client and Iperf3Server; how it is shown, in the reports. Everything on the core's thread.
using System.Text;
using System.Text.Json.Nodes;
using Peregrine.Core.Time;
using Peregrine.Sockets;

namespace Peregrine.Iperf3;

internal sealed class Iperf3Test : IDisposable
{
    private readonly CoreTimer _schedule;
    private readonly CoreTimer _pace;
    private readonly CoreTimer _watch;
    private readonly TaskCompletionSource _enough = new();
    private readonly FileStream? _file;
    private double _rate;
    private Instant _intervalStart;
    private Instant _intervalEnd = Instant.Never;
    private Instant _omitEnd = Instant.Never;
    private Instant _end = Instant.Never;
    private (TimeSpan User, TimeSpan System) _processorAtStart;
    private Instant _processorStart;
    private Instant _limitStart;
    private long _limitBytes;

    internal Iperf3Test(SocketEngine engine, Iperf3Options options, Iperf3Environment environment, Report report, TestParameters parameters)
    {
        (Engine, Options, Environment, Report, Parameters) = (engine, options, environment, report, parameters);
        _rate = (parameters.Bitrate, parameters.FairQueueRate) switch
        {
            (> 0, > 0) => Math.Min(parameters.Bitrate, parameters.FairQueueRate),
            _ => Math.Max(parameters.Bitrate, parameters.FairQueueRate),
        };
        Payload = CreatePayload();
        if (options.File != null) _file = OpenFile(options);
        _schedule = new CoreTimer(engine, environment.Time, OnSchedule);
        _pace = new CoreTimer(engine, environment.Time, OnPace);
        _watch = new CoreTimer(engine, environment.Time, OnWatch);
    }

    internal SocketEngine Engine { get; }

    internal Iperf3Options Options { get; }

    internal Iperf3Environment Environment { get; }

    internal Report Report { get; }

    internal TestParameters Parameters { get; }

    internal List<TestStream> Streams { get; } = [];

    internal byte[] Payload { get; }

    internal bool IsServer => Options.IsServer;

    internal Instant Now => Engine.Now;

    /// <summary>Between the start and the end.</summary>
    internal bool IsRunning { get; private set; }

    /// <summary>Whether it has begun.</summary>
    internal bool HasStarted { get; private set; }

    /// <summary>Whether it is over: what comes or goes from here on is not counted, so that results say what was printed.</summary>
    internal bool HasEnded => HasStarted && !IsRunning;

    /// <summary>Since when is counted: the start, or the end of the omitted seconds.</summary>
    internal Instant StartedAt { get; private set; }

    /// <summary>Seconds from the start to the end.</summary>
    internal double Seconds { get; private set; }

    internal bool IsOmitting { get; private set; }

    /// <summary>Percent of a processor over the test: all, user mode, kernel.</summary>
    internal (double Total, double User, double System) Processor { get; private set; }

    internal (double Total, double User, double System) RemoteProcessor { get; private set; }

    internal string? RemoteCongestion { get; private set; }

    internal bool RemoteHasRetransmits { get; private set; }

    /// <summary>What the server printed, for --get-server-output.</summary>
    internal JsonNode? ServerOutput { get; private set; }

    /// <summary>Completes when the client has sent or received enough or its time is over; faulted when a stream failed.</summary>
    internal Task Enough => _enough.Task;

    internal bool HasSender => Streams.Exists(static stream => stream.IsSender);

    internal bool HasReceiver => Streams.Exists(static stream => !stream.IsSender);

    /// <summary>The congestion control of the first stream, or null over UDP.</summary>
    internal string? Congestion => Parameters.Udp || Streams.Count == 0 ? null : Streams[0].LastTcp.CongestionControl;

    internal void Begin()
    {
        (HasStarted, IsRunning, IsOmitting) = (true, true, Parameters.Omit > 0);
        StartedAt = _intervalStart = _processorStart = _limitStart = Now;
        _processorAtStart = Environment.ProcessorTime();
        if (IsOmitting) _omitEnd = Now + Duration.FromSeconds(Parameters.Omit);
        if (!IsServer && Parameters.Seconds > 0) _end = Now + Duration.FromSeconds(Parameters.Omit + Parameters.Seconds);
        NextInterval(Now);
        ArmSchedule();
        if (_rate > 0) _pace.Every(TimeSpan.FromMicroseconds(Math.Max(Parameters.PacingTimerUs, 1_000)));
        if (HasReceiver || Options.ServerBitrateLimit > 0) _watch.Every(TimeSpan.FromMilliseconds(Math.Clamp(Options.ReceiveTimeoutMs / 4, 25, 250)));
        foreach (var stream in Streams) stream.Pump();
    }

    /// <summary>Ends sending and counting: the last interval is reported, and what the results will say is fixed.</summary>
    internal void End()
    {
        if (!IsRunning) return;
        if (IsOmitting) EndOmitting();
        IsRunning = false;
        Seconds = (Now - StartedAt).Nanoseconds / 1e9;
        var length = (Now - _intervalStart).Nanoseconds / 1e9;
        if (Streams.Exists(static stream => stream.HasBytesInInterval) || length > 0.1 * (Options.Interval > 0 ? Options.Interval : Seconds)) ReportInterval();
        var wall = (Now - _processorStart).Nanoseconds / 1e9;
        var (user, system) = Environment.ProcessorTime();
        if (wall > 0) Processor = Percent((user - _processorAtStart.User).TotalSeconds, (system - _processorAtStart.System).TotalSeconds, wall);
        _schedule.Dispose();
        _pace.Dispose();
        _watch.Dispose();
    }

    internal void Fail(Iperf3Exception error) => _enough.TrySetException(error);

    /// <summary>Whether a sender may begin another block.</summary>
    internal bool MayBegin(TestStream stream)
    {
        if (!IsRunning || _enough.Task.IsCompleted || IsEnough(sent: true)) return false;
        if (_rate <= 0) return true;
        if (stream.BurstLeft > 0)
        {
            stream.BurstLeft--;
            return true;
        }
        if (stream.Bytes * 8.0 > _rate * (Now - StartedAt).Nanoseconds / 1e9) return false;
        stream.BurstLeft = Math.Max(0, Parameters.Burst - 1);
        return true;
    }

    /// <summary>Brings the next block of the file, where there is one, into a buffer; without, the buffer is right as it is.</summary>
    /// <returns>Bytes of the block; 0 at the file's end.</returns>
    internal int FillBlock(ref byte[] block)
    {
        if (_file is not { CanRead: true }) return Parameters.Length;
        if (ReferenceEquals(block, Payload)) block = new byte[Payload.Length];
        // A datagram's header is written over the file's first bytes, as iperf3 has it.
        var count = _file.ReadAtLeast(block.AsSpan(0, Parameters.Length), Parameters.Length, throwOnEndOfStream: false);
        if (count == 0) _enough.TrySetResult();
        return count;
    }

    internal void OnReceived(ReadOnlySpan<byte> bytes)
    {
        if (_file is { CanWrite: true }) _file.Write(bytes);
        if (!IsServer && (Parameters.ByteCount > 0 || Parameters.BlockCount > 0)) IsEnough(sent: false);
    }

    /// <summary>What goes to the other side at the end.</summary>
    internal JsonObject Results()
    {
        var streams = new JsonArray();
        foreach (var stream in Streams)
        {
            streams.Add((JsonNode)new JsonObject
            {
                ["id"] = stream.Id,
                ["bytes"] = stream.Bytes,
                ["retransmits"] = stream.IsSender && !Parameters.Udp ? stream.Retransmits : -1,
                ["jitter"] = stream.JitterSeconds,
                ["errors"] = stream.Lost,
                ["packets"] = stream.Packets,
                ["start_time"] = 0,
                ["end_time"] = Seconds,
            });
        }
        var results = new JsonObject
        {
            ["cpu_util_total"] = Processor.Total,
            ["cpu_util_user"] = Processor.User,
            ["cpu_util_system"] = Processor.System,
            ["sender_has_retransmits"] = !HasSender ? -1 : Parameters.Udp ? 0 : 1,
        };
        if (Congestion is { } congestion) results["congestion_used"] = congestion;
        if (IsServer && Parameters.GetServerOutput && Report.Captured is { } output) results[output is JsonObject ? "server_output_json" : "server_output_text"] = output;
        results["streams"] = streams;
        return results;
    }

    /// <summary>Takes what came from the other side.</summary>
    internal void TakeResults(JsonObject results)
    {
        RemoteProcessor = (Positive("cpu_util_total"), Positive("cpu_util_user"), Positive("cpu_util_system"));
        RemoteHasRetransmits = JsonText.Long(results, "sender_has_retransmits") == 1;
        RemoteCongestion = JsonText.Text(results, "congestion_used");
        if (results["streams"] is not JsonArray streams) throw new Iperf3Exception(Iperf3Error.ReceiveResults, detail: "there are no streams in them");
        foreach (var entry in streams.OfType<JsonObject>())
        {
            var id = JsonText.Long(entry, "id");
            if (Streams.Find(stream => stream.Id == id) is not { } stream) continue;
            stream.Result = new RemoteStreamResult(
                Math.Max(0, JsonText.Long(entry, "bytes")), JsonText.Long(entry, "retransmits", -1), Math.Max(0, JsonText.Number(entry, "jitter") ?? 0),
                JsonText.Long(entry, "errors"), Math.Max(0, JsonText.Long(entry, "packets")), Math.Max(0, JsonText.Number(entry, "end_time") ?? 0));
        }
        if (Streams.Exists(static stream => stream.Result == null)) throw new Iperf3Exception(Iperf3Error.ReceiveResults, detail: "a stream is missing in them");
        ServerOutput = (results["server_output_json"] ?? results["server_output_text"])?.DeepClone();

        double Positive(string name) => Math.Max(0, JsonText.Number(results, name) ?? 0);
    }

    public void Dispose()
    {
        IsRunning = false;
        _schedule.Dispose();
        _pace.Dispose();
        _watch.Dispose();
        foreach (var stream in Streams) stream.Dispose();
        _file?.Dispose();
    }

    private static FileStream OpenFile(Iperf3Options options)
    {
        try
        {
            return options.IsServer || options.Test.Reverse ? File.Create(options.File!) : File.OpenRead(options.File!);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Iperf3Exception(Iperf3Error.File, detail: e.Message);
        }
    }

    private static (double Total, double User, double System) Percent(double user, double system, double wall) =>
        ((user + system) / wall * 100, user / wall * 100, system / wall * 100);

    private byte[] CreatePayload()
    {
        var payload = new byte[Parameters.Length];
        if (Parameters.RepeatingPayload)
        {
            for (var i = 0; i < payload.Length; i++) payload[i] = (byte)('0' + (i % 10));
        }
        else
        {
            Environment.FillRandom(payload);
        }
        return payload;
    }

    /// <summary>Whether the client's end by bytes or blocks is reached; the server goes on until it is told.</summary>
    private bool IsEnough(bool sent)
    {
        if (IsServer || IsOmitting || (Parameters.ByteCount == 0 && Parameters.BlockCount == 0)) return false;
        long bytes = 0, blocks = 0;
        foreach (var stream in Streams)
        {
            if (stream.IsSender != sent) continue;
            (bytes, blocks) = (bytes + stream.Bytes, blocks + stream.Blocks);
        }
        if ((Parameters.ByteCount == 0 || bytes < Parameters.ByteCount) && (Parameters.BlockCount == 0 || blocks < Parameters.BlockCount)) return false;
        _enough.TrySetResult();
        return true;
    }

    private void OnPace()
    {
        foreach (var stream in Streams) stream.Pump();
    }

    private void OnSchedule()
    {
        if (!IsRunning) return;
        if (Now >= _omitEnd) EndOmitting();
        else if (Now >= _intervalEnd && Now < _end) ReportInterval();
        if (Now >= _end) _enough.TrySetResult();
        else ArmSchedule();
    }

    private void ArmSchedule()
    {
        var next = Instant.Min(_intervalEnd, Instant.Min(_omitEnd, _end));
        // A millisecond is what timers know; one that comes too early just looks again.
        if (!next.IsNever) _schedule.Once(TimeSpan.FromMilliseconds(Math.Ceiling((next - Now).Nanoseconds / 1e6)));
    }

    private void EndOmitting()
    {
        ReportInterval();
        _omitEnd = Instant.Never;
        IsOmitting = false;
        StartedAt = _intervalStart = Now;
        NextInterval(Now);
        foreach (var stream in Streams)
        {
            stream.Reset();
            stream.Pump();
        }
        if (!IsServer && Parameters.Seconds > 0) _end = Now + Duration.FromSeconds(Parameters.Seconds);
    }

    private void ReportInterval()
    {
        double start = (_intervalStart - StartedAt).Nanoseconds / 1e9, end = (Now - StartedAt).Nanoseconds / 1e9;
        var intervals = new List<StreamInterval>(Streams.Count);
        foreach (var stream in Streams) intervals.Add(stream.EndInterval(start, end, IsOmitting));
        // From mark to mark, not from when a timer was served: or a busy core's seconds would grow.
        _intervalStart = Now;
        if (Now >= _intervalEnd) NextInterval(_intervalEnd);
        Report.Interval(this, intervals);
    }

    private void NextInterval(Instant from)
    {
        var length = new Duration((long)(Options.Interval * 1e9));
        if (length <= Duration.Zero) return;
        // Marks that were missed altogether are passed over.
        for (_intervalEnd = from + length; _intervalEnd <= Now; _intervalEnd += length)
        {
        }
    }

    private void OnWatch()
    {
        if (!IsRunning) return;
        if (HasReceiver)
        {
            var last = _processorStart;
            foreach (var stream in Streams) last = stream.IsSender ? last : Instant.Max(last, stream.LastReceived);
            if (Now - last > Duration.FromMilliseconds(Options.ReceiveTimeoutMs)) Fail(new Iperf3Exception(Iperf3Error.NoMessage));
        }
        if (Options.ServerBitrateLimit <= 0 || (Now - _limitStart).Nanoseconds < Options.ServerBitrateLimitSeconds * 1e9) return;
        long bytes = 0;
        foreach (var stream in Streams) bytes += stream.Bytes;
        var rate = Math.Max(0, bytes - _limitBytes) * 8e9 / (Now - _limitStart).Nanoseconds;
        (_limitStart, _limitBytes) = (Now, bytes);
        if (rate > Options.ServerBitrateLimit) Fail(new Iperf3Exception(Iperf3Error.TotalRate));
    }
}
