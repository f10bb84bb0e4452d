// Ctrl-C and SIGTERM for the commands: the first cancels, so that a command cleans up; a second, or ten seconds without an end, stops the process.
using System.Runtime.InteropServices;

namespace Peregrine.Cli;

/// <summary>
/// The signals that ask for an end, from before a command starts until after it has ended. System.CommandLine's own handler begins only when a
/// command first waits: by then it may have told its user to press Ctrl-C.
/// </summary>
internal sealed class Interruption : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly CancellationTokenSource _cancel = new();
    private readonly PosixSignalRegistration[] _registrations;
    private Timer? _limit;

    internal Interruption() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal),
    ];

    internal CancellationToken Token => _cancel.Token;

    /// <summary>The first signal that came; null while none has.</summary>
    internal PosixSignal? Signal { get; private set; }

    /// <summary>The status as a shell tells of a process that a signal ended.</summary>
    internal static int StatusOf(PosixSignal signal) => signal == PosixSignal.SIGTERM ? 143 : 130;

    public void Dispose()
    {
        foreach (var registration in _registrations) registration.Dispose();
        _limit?.Dispose();
        _cancel.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        var status = StatusOf(context.Signal);
        Signal ??= context.Signal;
        var limit = new Timer(_ => Environment.Exit(status), null, Patience, Timeout.InfiniteTimeSpan);
        if (Interlocked.CompareExchange(ref _limit, limit, null) != null)
        {
            limit.Dispose();
            Environment.Exit(status);
        }
        try
        {
            _cancel.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The command has just ended by itself.
        }
    }
}
