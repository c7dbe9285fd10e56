//! The transmit queue against a queue without bounds.

use std::collections::VecDeque;

use super::*;

const SIZE: usize = 300;

#[derive(Clone, Debug)]
enum Step {
    Push(Content),
    Sent(usize),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => content().prop_map(Step::Push),
        2 => (0..SIZE + 9).prop_map(Step::Sent),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn the_queue_is_a_queue(steps in vec(step(), 0..30)) {
        let mut queue = TxQueue::<SIZE>::new();
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Push(content) => {
                    let frame = content.encoded();
                    let fits = model.len() + frame.len() <= SIZE;
                    prop_assert_eq!(queue.push(&content.envelope()), fits);
                    if fits {
                        model.extend(frame);
                    }
                }
                Step::Sent(sent) => {
                    queue.consume(sent);
                    model.drain(..sent.min(model.len()));
                }
                Step::Clear => {
                    queue.clear();
                    model.clear();
                }
            }
            prop_assert_eq!((queue.is_empty(), queue.free()), (model.is_empty(), SIZE - model.len()));
            let front = queue.front();
            prop_assert_eq!(front.is_empty(), model.is_empty());
            prop_assert!(front.iter().eq(model.iter().take(front.len())));
        }
    }
}
