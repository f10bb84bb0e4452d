// The sum of a stack's memory, one line per holder, as it is planned before the region is mapped and as it stands at any moment.
using System.Text;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.AccurateEcn;
using Peregrine.Core.Tcp.Congestion.Bbr;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;

namespace Peregrine.Core;

/// <summary>A holder of memory.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Bytes">Bytes taken for it at the start.</param>
/// <param name="Capacity">How many things it holds at most.</param>
/// <param name="InUse">How many it holds now.</param>
public readonly record struct MemoryHolder(string Name, long Bytes, long Capacity, long InUse);

/// <summary>The memory of a stack.</summary>
public sealed class MemoryPlan
{
    private MemoryPlan(IReadOnlyList<MemoryHolder> holders, string kind) => (Holders, Kind) = (holders, kind);

    /// <summary>The holders.</summary>
    public IReadOnlyList<MemoryHolder> Holders { get; }

    /// <summary>What kind of memory it is ("huge pages, 2 MiB").</summary>
    public string Kind { get; }

    /// <summary>The sum in bytes.</summary>
    public long Bytes
    {
        get
        {
            long sum = 0;
            foreach (var holder in Holders) sum += holder.Bytes;
            return sum;
        }
    }

    /// <summary>What a stack with these options will take.</summary>
    public static MemoryPlan For(StackOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return Of(options, null, "planned");
    }

    internal static MemoryPlan Of(NetworkStack stack) => Of(stack.Options, stack, stack.MemoryKind);

    internal static int DemuxCapacity(StackOptions options) =>
        options.ConnectionCountMax + options.TimeWaitCountMax + options.SynBacklogCountMax;

    private static MemoryPlan Of(StackOptions options, NetworkStack? stack, string kind)
    {
        var (demuxed, detailed) = (DemuxCapacity(options), options.ConnectionDetails ? options.ConnectionCountMax : 0);
        var x = stack?.Tcp.Context;
        return new MemoryPlan(
            [
                Holder("frames", ChunkPool.BytesFor(options.FrameSizeBytes, options.FrameCount), options.FrameCount, options.FrameCount - stack?.Frames.Chunks.FreeCount),
                Holder("blocks of send and receive queues", ChunkPool.BytesFor(options.BlockSizeBytes, options.BlockCount), options.BlockCount, options.BlockCount - x?.Blocks.FreeCount),
                Holder("connections", TcbTable.BytesFor(options.ConnectionCountMax), options.ConnectionCountMax, x?.Tcbs.Count),
                Holder("details of connections", detailed > 0 ? TcpDetailsTable.BytesFor(detailed) : 0, detailed, detailed > 0 ? x?.Tcbs.Count : 0),
                Holder("demux slots", DemuxTable.BytesFor(demuxed), demuxed, x?.Demux.Count),
                Holder("connection timers", TimerWheel.BytesFor(options.ConnectionCountMax), options.ConnectionCountMax, x?.Wheel.Count),
                Holder("transmission records", LossRecovery.BytesFor(options.TransmissionRecordCount), options.TransmissionRecordCount,
                    options.TransmissionRecordCount - x?.Recovery.FreeRecords),
                Holder("BBR models", IndexedPool<BbrModel>.BytesFor(options.BbrConnectionCountMax), options.BbrConnectionCountMax, x?.Recovery.Controls.ModelsInUse),
                Holder("senders' histories", IndexedPool<SenderHistory>.BytesFor(options.SenderHistoryCountMax), options.SenderHistoryCountMax, x?.Recovery.Memory.UsedCount),
                Holder("Accurate ECN states", AccurateEcnTable.BytesFor(options.AccurateEcnConnectionCountMax), options.AccurateEcnConnectionCountMax, x?.AccurateEcn.Count),
                Holder("TIME-WAIT records", TimeWaitTable.BytesFor(options.TimeWaitCountMax), options.TimeWaitCountMax, x?.TimeWaits.Count),
                Holder("SYN backlog", SynBacklog.BytesFor(options.SynBacklogCountMax, options.ListenerCountMax), options.SynBacklogCountMax, x?.SynBacklog.Count),
                Holder("IP tables", IpLayer.BytesFor(options.Ip), 0, 0),
                Holder("UDP sockets", UdpLayer.BytesFor(options.Udp), options.Udp.SocketCountMax, 0),
            ],
            kind);

        static MemoryHolder Holder(string name, nuint bytes, long capacity, long? inUse) => new(name, (long)bytes, capacity, inUse ?? 0);
    }

    /// <summary>The plan as lines of text and their sum.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var holder in Holders)
            text.Append($"{holder.Bytes,14:N0} bytes  {holder.Name}").Append(holder.Capacity > 0 ? $": {holder.InUse:N0} of {holder.Capacity:N0}\n" : "\n");
        return text.Append($"{Bytes,14:N0} bytes  in all ({Kind})").ToString();
    }
}
