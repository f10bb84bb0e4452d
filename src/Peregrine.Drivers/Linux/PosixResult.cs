// What a call into the C library gave: a value, or the errno that it left. Never throws by itself.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Drivers.Linux;

/// <summary>A value or an errno.</summary>
internal readonly struct PosixResult
{
    private readonly nint _value;

    private PosixResult(nint value) => _value = value;

    /// <summary>Whether the call failed.</summary>
    public bool IsError => _value < 0;

    /// <summary>The errno, or 0.</summary>
    public Errno Errno => _value < 0 ? (Errno)(-_value) : Errno.None;

    /// <summary>What the call returned, or -1.</summary>
    public nint Value => _value < 0 ? -1 : _value;

    /// <summary>What the call returned, as a descriptor or a count.</summary>
    public int Int32 => (int)Value;

    /// <summary>Makes a result of a call's return value; must directly follow the call, while its errno is still there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PosixResult From(nint returned) => returned == -1 ? Failed() : new PosixResult(returned);

    /// <summary>A failure without a call.</summary>
    public static PosixResult Of(Errno errno) => new(-(nint)(int)errno);

    /// <summary>Throws when the call failed.</summary>
    /// <param name="message">What was attempted and, if possible, what to do about it.</param>
    /// <exception cref="IOException">The call failed; the errno is in <see cref="Exception.HResult"/>.</exception>
    public PosixResult ThrowIfError(string message)
    {
        if (IsError) Throw(message);
        return this;
    }

    /// <inheritdoc/>
    public override string ToString() => IsError ? Describe(Errno) : _value.ToString();

    /// <summary>The C library's text for an errno, with its number: "Permission denied (errno 13)".</summary>
    public static string Describe(Errno errno) => $"{Marshal.GetPInvokeErrorMessage((int)errno)} (errno {(int)errno})";

    private static PosixResult Failed()
    {
        var errno = Marshal.GetLastPInvokeError();
        return new PosixResult(errno > 0 ? -errno : -(int)Errno.EIO);
    }

    private void Throw(string message) => throw new IOException($"{message}: {Describe(Errno)}", (int)Errno);
}

/// <summary>The errnos that the code tells apart. The same on x64 and Arm64.</summary>
internal enum Errno
{
    None = 0,
    EPERM = 1,
    ENOENT = 2,
    EINTR = 4,
    EIO = 5,
    ENXIO = 6,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EFAULT = 14,
    EBUSY = 16,
    EEXIST = 17,
    ENODEV = 19,
    EINVAL = 22,
    ENOTTY = 25,
    ENOSYS = 38,
    EBADFD = 77,
    EPROTOTYPE = 91,
    EADDRINUSE = 98,
    ENETDOWN = 100,
    ENOBUFS = 105,
    EOPNOTSUPP = 95,
    ECONNREFUSED = 111,
    EAFNOSUPPORT = 97,
}
