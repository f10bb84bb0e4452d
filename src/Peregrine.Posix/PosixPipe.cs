// Pipes and files as far as splice and sendfile need them: how many bytes there are, not what they say.

namespace Peregrine.Posix;

/// <summary>A pipe; both ends are descriptors of it.</summary>
internal sealed class PosixPipe
{
    /// <summary>What a pipe holds at most, as Linux has it.</summary>
    internal const int Capacity = 65_536;

    internal int Length { get; set; }

    internal int Room => Capacity - Length;
}
