/**
 * Operations on the content of one file, one behind the other, while one of them waits: what it read of a block at the
 * edge of its bytes must still be there when it writes. Without a wait they are done at once, and nothing is queued.
 */
import type { Eventual } from './block-device.ts'
import type { Inode } from './inode.ts'

export function inLine<T>(inode: Inode, task: () => Eventual<T>): Eventual<T> {
  const answer = inode.tail === undefined ? task() : inode.tail.then(task)
  if (!(answer instanceof Promise)) return answer
  const leave = (): void => {
    if (inode.tail === tail) inode.tail = undefined
  }
  const tail: Promise<void> = answer.then(leave, leave)
  inode.tail = tail
  return answer
}
