// An engine without thread or mailbox: a bench turns it, and it keeps what its parts took.
using System.Diagnostics;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Sockets;

namespace Peregrine.Core.Bench;

internal sealed class BenchEngine(NetworkStack stack) : SocketEngine(stack)
{
    public override bool TryPost(in EngineCommand command) => throw new NotSupportedException();

    public override void RunElsewhere(IThreadPoolWorkItem item) => throw new NotSupportedException();

    public override void OnUnhandled(Exception exception, object callback) => throw exception;

    internal TurnTimes Input { get; } = new();

    /// <summary>Events, and what the application does about them.</summary>
    internal TurnTimes Application { get; } = new();

    internal TurnTimes Output { get; } = new();

    /// <summary>Called in each turn before the events are dispatched: for an application that accepts.</summary>
    internal Action? OnTurn { get; set; }

    internal Span<Frame> Turn(int index, Span<Frame> burst, Instant now)
    {
        BeginTurn(now);
        var begun = Stopwatch.GetTimestamp();
        if (burst.Length > 0) Stack.OnBurst(index, burst, now);
        var taken = Stopwatch.GetTimestamp();
        Stack.FireTimers(now);
        OnTurn?.Invoke();
        Dispatch(now);
        var told = Stopwatch.GetTimestamp();
        Stack.Poll(now);
        Output.Add(Stopwatch.GetTimestamp() - told);
        Application.Add(told - taken);
        Input.Add(taken - begun);
        return Stack.PendingOutput(index);
    }

    /// <summary>What a link does when frames have left.</summary>
    internal void Sent(int index, Span<Frame> frames)
    {
        foreach (ref var frame in frames) Stack.Frames.Return(frame);
        Stack.OnTransmitted(index, frames.Length);
    }

    protected override void WaitForRoom(int attempt) => throw new NotSupportedException();
}
