// What a running core needs of the machine beneath it: memory, a way to sleep, a processor, entropy. Not used by Core itself, which
// decides and never waits; it stands here because the host and the drivers, who do not know each other, both know Core.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Core.Links;

/// <summary>What the host asks of the operating system. Drivers bring one for Linux; the host has a managed one that works everywhere.</summary>
public interface ICorePlatform
{
    /// <summary>Maps zeroed memory that never moves, at least <paramref name="bytes"/> long.</summary>
    /// <param name="bytes">How much, 1 or more; rounded up to the page size used.</param>
    /// <param name="hugePages">Whether huge pages are wanted. Without any the memory is ordinary; <see cref="MemoryRegion.Description"/> says what it became.</param>
    /// <exception cref="InsufficientMemoryException">The memory cannot be had; the message says what to do.</exception>
    MemoryRegion MapRegion(nuint bytes, bool hugePages);

    /// <summary>Makes a waiter. One a core.</summary>
    IWaiter CreateWaiter();

    /// <summary>Binds the calling thread to one processor. False when that is not possible (no such processor, not permitted).</summary>
    /// <param name="cpu">The processor's number, from 0.</param>
    bool PinCurrentThread(int cpu);

    /// <summary>Fills the span from the operating system's cryptographic generator.</summary>
    void FillEntropy(Span<byte> destination);

    /// <summary>
    /// Becomes another user in all threads of the process, for good, without any privilege. What is open stays open. Called when a network's
    /// link and memory are there, and before its core looks at the first frame.
    /// </summary>
    /// <param name="user">The user's name.</param>
    /// <exception cref="NotSupportedException">The platform cannot do that.</exception>
    /// <exception cref="ArgumentException">There is no such user, or it is root.</exception>
    /// <exception cref="UnauthorizedAccessException">The process may not change its user; the message says what to do.</exception>
    /// <exception cref="IOException">A thread kept a privilege. The process should end.</exception>
    void DropPrivileges(string user) => throw new NotSupportedException("Only Drivers' LinuxPlatform can give privileges up: pass one to StartAsync, or leave the setting User empty.");

    /// <summary>Makes another user the owner of a file, before this process becomes that user. Without a way to do that, it stays whose it is.</summary>
    /// <param name="path">The file; it exists.</param>
    /// <param name="user">The user's name.</param>
    /// <exception cref="ArgumentException">There is no such user.</exception>
    /// <exception cref="UnauthorizedAccessException">The process may not give files away.</exception>
    void GiveFile(string path, string user)
    {
    }
}

/// <summary>How a core sleeps: until a descriptor is readable, until somebody wakes it, or until a deadline.</summary>
public interface IWaiter : IDisposable
{
    /// <summary>
    /// Waits. A <see cref="Wake"/> since the last return counts and makes it return at once, so none is lost; it may also return early for no reason.
    /// Called by the owning thread only.
    /// </summary>
    /// <param name="descriptors">Descriptors whose being readable ends the wait; at most 64. Negative ones are skipped.</param>
    /// <param name="timeout">How long at most. Zero or less only looks; a year or more is for ever.</param>
    /// <returns>False when the time passed and nothing else happened.</returns>
    bool Wait(ReadOnlySpan<int> descriptors, Duration timeout);

    /// <summary>Ends the present or the next <see cref="Wait"/>. Callable from any thread; makes a system call only when the owner sleeps.</summary>
    void Wake();
}
