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
        var demuxed = DemuxCapacity(options);
        return new MemoryPlan(
            [
                new("frames", (long)ChunkPool.BytesFor(options.FrameSizeBytes, options.FrameCount), options.FrameCount, 0),
                new("blocks of send and receive queues", (long)ChunkPool.BytesFor(options.BlockSizeBytes, options.BlockCount), options.BlockCount, 0),
                new("connections", (long)TcbTable.BytesFor(options.ConnectionCountMax), options.ConnectionCountMax, 0),
                new("details of connections", options.ConnectionDetails ? (long)TcpDetailsTable.BytesFor(options.ConnectionCountMax) : 0, options.ConnectionDetails ? options.ConnectionCountMax : 0, 0),
                new("demux slots", (long)DemuxTable.BytesFor(demuxed), demuxed, 0),
                new("connection timers", (long)TimerWheel.BytesFor(options.ConnectionCountMax), options.ConnectionCountMax, 0),
                new("transmission records", (long)LossRecovery.BytesFor(options.TransmissionRecordCount), options.TransmissionRecordCount, 0),
                new("BBR models", (long)BbrPool.BytesFor(options.BbrConnectionCountMax), options.BbrConnectionCountMax, 0),
                new("Accurate ECN states", (long)AccurateEcnTable.BytesFor(options.AccurateEcnConnectionCountMax), options.AccurateEcnConnectionCountMax, 0),
                new("TIME-WAIT records", (long)TimeWaitTable.BytesFor(options.TimeWaitCountMax), options.TimeWaitCountMax, 0),
                new("SYN backlog", (long)SynBacklog.BytesFor(options.SynBacklogCountMax, options.ListenerCountMax), options.SynBacklogCountMax, 0),
                new("IP tables", (long)IpLayer.BytesFor(options.Ip), 0, 0),
                new("UDP sockets", (long)UdpLayer.BytesFor(options.Udp), options.Udp.SocketCountMax, 0),
            ],
            "planned");
    }

    internal static int DemuxCapacity(StackOptions options) =>
        options.ConnectionCountMax + options.TimeWaitCountMax + options.SynBacklogCountMax;

    internal static MemoryPlan Of(NetworkStack stack)
    {
        var x = stack.Tcp.Context;
        var planned = For(stack.Options).Holders;
        long[] inUse =
        [
            stack.Frames.Chunks.Count - stack.Frames.Chunks.FreeCount, x.Blocks.Count - x.Blocks.FreeCount, x.Tcbs.Count, x.Demux.Count, x.Wheel.Count,
            stack.Options.TransmissionRecordCount - x.Recovery.FreeRecords, x.Recovery.Controls.ModelsInUse, x.AccurateEcn.Count, x.TimeWaits.Count, x.SynBacklog.Count, 0, 0,
        ];
        var holders = new MemoryHolder[planned.Count];
        for (var i = 0; i < holders.Length; i++) holders[i] = planned[i] with { InUse = inUse[i] };
        return new MemoryPlan(holders, stack.MemoryKind);
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
