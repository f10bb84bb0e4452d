// One core's side of a memif link. It outlives sessions: the control thread offers one or takes it away, and the queue goes over at its
// next call, on its own thread, giving back every frame that the old session held. Without a session, what is sent is dropped and counted.
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Memif;

internal sealed class MemifQueue(MemifLink link, int index, FramePool frames) : ILinkQueue
{
    private MemifSession? _offered, _session;
    private MemifReceiver? _receiver;
    private MemifSender? _sender;
    private LinkQueueCounters _counters;
    private Action? _wake;
    private bool _armed, _closed;

    public FramePool Frames => frames;

    /// <summary>The ring's event descriptor while the owner may sleep on it; -1 without a session, and when the link is polled.</summary>
    public int PollDescriptor => link.Options.Polling ? -1 : _receiver?.EventDescriptor ?? -1;

    public LinkQueueCounters Counters => _counters;

    /// <summary>From the control thread: the session to use from now on, or none.</summary>
    public void Offer(MemifSession? session)
    {
        Volatile.Write(ref _offered, session);
        Volatile.Read(ref _wake)?.Invoke();
    }

    public int Receive(Span<Frame> burst)
    {
        if (!ReferenceEquals(Volatile.Read(ref _offered), _session)) GoOver();
        if (_receiver is null) return 0;
        if (_armed) Disarm();
        return _receiver.Receive(burst, ref _counters);
    }

    public int Transmit(ReadOnlySpan<Frame> burst)
    {
        if (!ReferenceEquals(Volatile.Read(ref _offered), _session)) GoOver();
        if (_sender is not null) return _sender.Transmit(burst, ref _counters);
        foreach (ref readonly var frame in burst) frames.Return(frame);
        _counters.SendDroppedError += burst.Length;
        return burst.Length;
    }

    public void Reclaim() => _sender?.Reclaim();

    public bool TryArm()
    {
        if (link.Options.Polling) return false;
        if (!ReferenceEquals(Volatile.Read(ref _offered), _session)) return false;
        if (_receiver is null) return true;
        _receiver.SetSignalWanted(true);
        _armed = true;
        return !_receiver.HasFrames;
    }

    public void SetWake(Action wake) => Volatile.Write(ref _wake, wake);

    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        Volatile.Write(ref _offered, null);
        GoOver();
    }

    private void Disarm()
    {
        _armed = false;
        _receiver!.SetSignalWanted(false);
        _counters.SystemCalls++;
        UnixSocket.DrainEvent(_receiver.EventDescriptor);
    }

    private void GoOver()
    {
        _receiver?.Close();
        _sender?.Close();
        (_receiver, _sender, _armed) = (null, null, false);
        _session?.Release();
        _session = _closed ? null : Volatile.Read(ref _offered);
        if (_session is null) return;
        if (!_session.TryAcquire())
        {
            // It ended before we came to it; the end is on its way to us.
            Interlocked.CompareExchange(ref _offered, null, _session);
            _session = null;
            return;
        }
        (_receiver, _sender) = link.Options.Role == MemifRole.Server ? ServerPorts(_session) : ClientPorts(_session);
        _receiver?.SetSignalWanted(false);
    }

    private (MemifReceiver?, MemifSender?) ServerPorts(MemifSession session) => (
        index < session.ToServer.Length ? new MemifServerReceiver(session, session.ToServer[index], frames, link.Limits) : null,
        index < session.ToClient.Length ? new MemifServerSender(session, session.ToClient[index], frames, link.Limits) : null);

    private (MemifReceiver?, MemifSender?) ClientPorts(MemifSession session)
    {
        var perRing = session.BufferSize << (session.ToServer.Length > 0 ? session.ToServer[0].SizeLog2 : 0);
        var ours = session.BuffersOffset + ((uint)index * perRing);
        var theirs = session.BuffersOffset + ((uint)(session.ToServer.Length + index) * perRing);
        return (
            index < session.ToClient.Length ? new MemifClientReceiver(session, session.ToClient[index], frames, link.Limits, theirs) : null,
            index < session.ToServer.Length ? new MemifClientSender(session, session.ToServer[index], frames, link.Limits, ours) : null);
    }
}
