// Where awaiting code goes on.
namespace Peregrine.Sockets;

/// <summary>Where the continuation of an operation runs that has no context of its own.</summary>
public enum CompletionMode : byte
{
    /// <summary>As the network says; its default is <see cref="Inline"/>.</summary>
    Default,

    /// <summary>On the core's own thread, after the burst's input: fastest. The code must not block.</summary>
    Inline,

    /// <summary>On the thread pool: for code that may block or takes long.</summary>
    ThreadPool,
}
