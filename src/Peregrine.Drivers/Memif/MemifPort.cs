// What a queue does with one ring of a session: receive bursts from it or send bursts to it. Four kinds, because the client owns the
// memory and the server finds its way in it by what the client wrote. Each belongs to one core.
using System.Runtime.CompilerServices;
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Memif;

/// <summary>The receiving side of a ring pair.</summary>
internal abstract class MemifReceiver(MemifSession session, MemifRing ring, FramePool frames, MemifLimits limits)
{
    protected MemifSession Session => session;

    protected MemifRing Ring => ring;

    protected FramePool Frames => frames;

    protected MemifLimits Limits => limits;

    public int EventDescriptor => ring.EventDescriptor;

    /// <summary>Whether packets wait, as far as can be said without looking at them.</summary>
    public abstract bool HasFrames { get; }

    public abstract int Receive(Span<Frame> burst, ref LinkQueueCounters counters);

    public void SetSignalWanted(bool wanted) => ring.SetSignalWanted(wanted);

    /// <summary>Gives back what frames it holds. The session is over.</summary>
    public virtual void Close()
    {
    }

    protected bool TryFinish(ref FrameAssembly assembly, bool isWellFormed, ref LinkQueueCounters counters)
    {
        if (isWellFormed && !assembly.IsShort && assembly.Frame.Length >= limits.Shortest)
        {
            counters.ReceivedBytes += assembly.Frame.Length;
            if (limits.Medium == LinkMedium.Ethernet && (frames.Head(assembly.Frame)[0] & 1) != 0) assembly.Frame.Flags |= FrameFlags.Broadcast;
            return true;
        }
        if (assembly.IsShort) counters.ReceiveDroppedNoMemory++;
        else counters.ReceiveDroppedMalformed++;
        assembly.Abandon();
        return false;
    }
}

/// <summary>The sending side of a ring pair.</summary>
internal abstract class MemifSender(MemifSession session, MemifRing ring, FramePool frames, MemifLimits limits)
{
    protected MemifSession Session => session;

    protected MemifRing Ring => ring;

    protected FramePool Frames => frames;

    /// <summary>Takes frames from the start of the burst; those taken are sent or counted as dropped.</summary>
    public abstract int Transmit(ReadOnlySpan<Frame> burst, ref LinkQueueCounters counters);

    /// <summary>Gives frames back that the peer has finished with.</summary>
    public virtual void Reclaim()
    {
    }

    /// <summary>Gives back what frames it holds. The session is over.</summary>
    public virtual void Close()
    {
    }

    // The link has no offloads: a frame that needs some would look like a good one at the other end.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected bool IsSendable(in Frame frame) =>
        frame.Length <= limits.Longest && frame.Length > 0 && frame.SegmentKind == SegmentKind.None
        && (frame.Flags & (FrameFlags.ChecksumUnfinished | FrameFlags.VlanTag)) == 0;

    protected void Drop(in Frame frame, ref LinkQueueCounters counters)
    {
        counters.SendDroppedError++;
        frames.Return(frame);
    }

    /// <summary>After the index is stored: wakes a consumer that wants to be woken.</summary>
    protected unsafe void Signal(ref LinkQueueCounters counters)
    {
        // The consumer says that it sleeps and then looks at the index; we store the index and then look at what it says.
        Interlocked.MemoryBarrier();
        if (!ring.IsSignalWanted || ring.EventDescriptor < 0) return;
        counters.SystemCalls++;
        ulong one = 1;
        Posix.Write(ring.EventDescriptor, &one, sizeof(ulong));
    }
}

/// <summary>What a frame on the link may be.</summary>
internal sealed record MemifLimits(LinkMedium Medium, int Shortest, int Longest);
