// What the program around a test lends it: where output goes, time, the processor's share, and what it calls itself. So the protocol needs
// no clock and no system call, and runs in virtual time as well.
namespace Peregrine.Iperf3;

/// <summary>The surroundings of <see cref="Iperf3Tool"/>.</summary>
public sealed record Iperf3Environment
{
    /// <summary>Where results go.</summary>
    public required TextWriter Output { get; init; }

    /// <summary>Where errors go.</summary>
    public required TextWriter Errors { get; init; }

    /// <summary>Timers and the time of day.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Processor time used so far, in user mode and in the kernel.</summary>
    public Func<(TimeSpan User, TimeSpan System)> ProcessorTime { get; init; } = static () => default;

    /// <summary>What "uname -a" would say.</summary>
    public string SystemName { get; init; } = "Peregrine";

    /// <summary>The password for --username, or null when there is none.</summary>
    public string? Password { get; init; }

    /// <summary>Fills a buffer with random bytes: cookies and payload.</summary>
    public Action<byte[]> FillRandom { get; init; } = static buffer => System.Security.Cryptography.RandomNumberGenerator.Fill(buffer);

    /// <summary>Pins the core to a processor for -A; null where that cannot be done. False when the system refuses.</summary>
    public Func<int, bool>? Pin { get; init; }
}
