// What the control socket answers: snapshots taken on the core's thread, written as one JSON object a line. Read-only.
using System.Buffers;
using System.Text.Json;
using Peregrine.Core.Tcp;

namespace Peregrine;

internal sealed class ControlAnswers(PeregrineNetwork network, CoreEngine engine)
{
    /// <summary>Connections of one answer at most; the answer says when there are more.</summary>
    private const int ConnectionCountMax = 10_000;

    private readonly CounterTable _counters = new(engine);

    /// <summary>The answer to a request line, without its line end.</summary>
    internal async Task<byte[]> AnswerAsync(ReadOnlyMemory<byte> request)
    {
        var (what, filter) = Parse(request);
        try
        {
            return what switch
            {
                "counters" => await engine.RunAsync(() => Write(Counters)).ConfigureAwait(false),
                "nstat" => await engine.RunAsync(() => Write(Nstat)).ConfigureAwait(false),
                "connections" => await ConnectionsAsync(ConnectionFilter.Parse(filter)).ConfigureAwait(false),
                "memory" => await engine.RunAsync(() => Write(Memory)).ConfigureAwait(false),
                "info" => await engine.RunAsync(() => Write(Info)).ConfigureAwait(false),
                _ => Error(what == null ? "A request is one line of JSON like {\"get\":\"counters\"}." : $"There is no \"{what}\". There are counters, nstat, connections, memory and info."),
            };
        }
        catch (FormatException e)
        {
            return Error(e.Message);
        }
        catch (ObjectDisposedException)
        {
            return Error("The network has stopped.");
        }
    }

    internal static byte[] Error(string message) => Write(json => json.WriteString("error", message));

    private static (string? What, string Filter) Parse(ReadOnlyMemory<byte> request)
    {
        try
        {
            using var document = JsonDocument.Parse(request, new JsonDocumentOptions { MaxDepth = 4 });
            return document.RootElement.ValueKind == JsonValueKind.Object ? (Text(document.RootElement, "get"), Text(document.RootElement, "filter") ?? "") : default;
        }
        catch (JsonException)
        {
            return default;
        }
    }

    private static string? Text(JsonElement request, string name) =>
        request.TryGetProperty(name, out var member) && member.ValueKind == JsonValueKind.String ? member.GetString() : null;

    private static byte[] Write(Action<Utf8JsonWriter> content)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            content(json);
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private void Counters(Utf8JsonWriter json)
    {
        foreach (var group in _counters.Groups)
        {
            json.WriteStartObject(group);
            foreach (var (name, value) in _counters.Read(group)) json.WriteNumber(name, value);
            json.WriteEndObject();
        }
    }

    private void Nstat(Utf8JsonWriter json)
    {
        json.WriteStartObject("nstat");
        foreach (var (name, value) in NstatNames.Read(_counters)) json.WriteNumber(name, value);
        json.WriteEndObject();
    }

    private void Memory(Utf8JsonWriter json)
    {
        var plan = engine.Stack.Memory;
        json.WriteString("kind", plan.Kind);
        json.WriteNumber("bytes", plan.Bytes);
        json.WriteString("pressure", engine.Stack.Tcp.MemoryPressure.ToString());
        json.WriteStartArray("holders");
        foreach (var holder in plan.Holders)
        {
            json.WriteStartObject();
            json.WriteString("name", holder.Name);
            json.WriteNumber("bytes", holder.Bytes);
            json.WriteNumber("capacity", holder.Capacity);
            json.WriteNumber("inUse", holder.InUse);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private void Info(Utf8JsonWriter json)
    {
        json.WriteString("name", network.Options.Name);
        json.WriteString("link", engine.LinkName);
        json.WriteBoolean("linkUp", engine.LinkWatch.IsUp);
        json.WriteNumber("linkMtu", engine.LinkWatch.Mtu);
        if (engine.LinkWatch.Problem is { } problem) json.WriteString("linkProblem", problem);
        json.WriteNumber("processId", Environment.ProcessId);
        json.WriteString("version", typeof(PeregrineNetwork).Assembly.GetName().Version?.ToString());
        json.WriteStartArray("addresses");
        foreach (var address in network.Options.Addresses) json.WriteStringValue(address);
        json.WriteEndArray();
        json.WriteNumber("uptimeSeconds", engine.Now.Nanoseconds / 1_000_000_000);
        json.WriteNumber("connections", engine.Stack.Tcp.ConnectionCount);
        json.WriteNumber("timeWait", engine.Stack.Tcp.TimeWaitCount);
        json.WriteNumber("listeners", engine.Stack.Tcp.ListenerCount);
    }

    private async Task<byte[]> ConnectionsAsync(ConnectionFilter filter)
    {
        // The core only copies records, a bounded number a call; the text is made here.
        const int slotsPerCall = 512;
        var infos = new List<TcpInfo>();
        var more = false;
        foreach (var collect in (Func<int, int, bool>[])[CollectListeners, CollectHalfOpen, CollectConnections, CollectTimeWaits])
        {
            more = true;
            for (var slot = 0; more && infos.Count < ConnectionCountMax; slot += slotsPerCall)
            {
                var first = slot;
                more = await engine.RunAsync(() => collect(first, first + slotsPerCall)).ConfigureAwait(false);
            }
            if (more) break;
        }
        bool CollectListeners(int from, int to) => Collect(from, to, engine.Stack.Tcp.Overview.ListenerSlotCount, filter, infos, Listener);
        bool CollectHalfOpen(int from, int to) => Collect(from, to, engine.Stack.Tcp.Overview.HalfOpenSlotCount, filter, infos, HalfOpen);
        bool CollectConnections(int from, int to) => Collect(from, to, engine.Stack.Tcp.SlotCount, filter, infos, Connection);
        bool CollectTimeWaits(int from, int to) => Collect(from, to, engine.Stack.Tcp.Overview.TimeWaitSlotCount, filter, infos, TimeWait);
        return Write(json =>
        {
            json.WriteBoolean("complete", !more);
            json.WriteStartArray("connections");
            foreach (var info in infos) ConnectionRow.Write(json, info);
            json.WriteEndArray();
        });
    }

    // On the core; true when there are slots after these.
    private static bool Collect(int from, int to, int slotCount, ConnectionFilter filter, List<TcpInfo> infos, Func<int, TcpInfo?> ask)
    {
        for (var slot = from; slot < Math.Min(to, slotCount); slot++)
        {
            if (ask(slot) is { } info && filter.Takes(info)) infos.Add(info);
        }
        return to < slotCount;
    }

    // What an application holds of a connection in TIME-WAIT is its handle; the record is told of below.
    private TcpInfo? Connection(int slot) =>
        engine.Stack.Tcp.TryGetHandle(slot, out var handle) && engine.Stack.Tcp.TryGetInfo(handle, engine.Now, out var info) && info.State != TcpState.TimeWait ? info : null;

    // ss shows a listener's queue and its bound in the columns of received and unsent bytes.
    private TcpInfo? Listener(int slot) => engine.Stack.Tcp.Overview.TryGetListener(slot, out var listener)
        ? new TcpInfo { State = TcpState.Listen, Local = listener.Local, UnreadBytes = (uint)listener.WaitingCount, UnsentBytes = (uint)listener.Backlog, CongestionControl = "" }
        : null;

    // Without a congestion control, by which it is told from a connection in that state (of a simultaneous open).
    private TcpInfo? HalfOpen(int slot) => engine.Stack.Tcp.Overview.TryGetHalfOpen(slot, engine.Now, out var record)
        ? new TcpInfo { State = TcpState.SynReceived, Local = record.Local, Remote = record.Remote, Rto = record.Left, Backoff = record.Retries, CongestionControl = "" }
        : null;

    private TcpInfo? TimeWait(int slot) => engine.Stack.Tcp.Overview.TryGetTimeWait(slot, engine.Now, out var record)
        ? new TcpInfo { State = TcpState.TimeWait, Local = record.Local, Remote = record.Remote, Rto = record.Left, CongestionControl = "" }
        : null;
}
